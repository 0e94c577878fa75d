package ecr

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// registryOperations names what is done with the registry as a whole.
func (f face) registryOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"GetAuthorizationToken": awswire.Op(f.getAuthorizationToken),
		"DescribeRegistry":      awswire.Op(f.describeRegistry),
	}
}

func (f face) getAuthorizationToken(ctx context.Context, call awswire.Call, in *wire.GetAuthorizationTokenInput) (*wire.GetAuthorizationTokenOutput, error) {
	registryIDs, err := f.tokenRegistries(in.RegistryIds) //nolint:staticcheck // deprecated, and clients still send it
	if err != nil {
		return nil, err
	}
	if err := f.Registry.MayGetToken(ctx, call.Caller); err != nil {
		return nil, err
	}
	password, expires, err := f.Tokens.IssueToken(ctx, call.Caller)
	if err != nil {
		return nil, err
	}
	out := &wire.GetAuthorizationTokenOutput{}
	for range registryIDs {
		out.AuthorizationData = append(out.AuthorizationData, types.AuthorizationData{
			AuthorizationToken: aws.String(base64.StdEncoding.EncodeToString([]byte(authn.TokenUser + ":" + password))),
			ExpiresAt:          aws.Time(expires),
			ProxyEndpoint:      aws.String(f.ProxyEndpoint),
		})
	}
	return out, nil
}

// tokenRegistries settles for which registries tokens are asked; the answer has an entry for each. A
// token of this server opens no registry but its own, so it hands out none for others.
func (f face) tokenRegistries(ids []string) ([]string, error) {
	if ids == nil {
		return []string{f.Registry.ID()}, nil
	}
	if err := batch("registryIds", ids, maxRegistryIDs); err != nil {
		return nil, err
	}
	for _, id := range ids {
		if err := checkRegistryID("registryIds", id); err != nil {
			return nil, err
		}
		if id != f.Registry.ID() {
			return nil, fault.BadParameter("registryIds", fmt.Sprintf("this server has the registry with id %s alone, not %s", f.Registry.ID(), id))
		}
	}
	return ids, nil
}

func (f face) describeRegistry(ctx context.Context, call awswire.Call, _ *wire.DescribeRegistryInput) (*wire.DescribeRegistryOutput, error) {
	c, err := f.Replication.Configuration(ctx, call.Caller)
	if err != nil {
		return nil, err
	}
	return &wire.DescribeRegistryOutput{RegistryId: aws.String(f.Registry.ID()), ReplicationConfiguration: wireReplication(c)}, nil
}
