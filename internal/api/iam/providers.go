package iam

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/access"
)

// providerOperations names what is done with OIDC providers.
func (f face) providerOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"CreateOpenIDConnectProvider":             awswire.Op(f.createProvider),
		"GetOpenIDConnectProvider":                awswire.Op(f.getProvider),
		"ListOpenIDConnectProviders":              awswire.Op(f.listProviders),
		"UpdateOpenIDConnectProviderThumbprint":   awswire.Op(f.updateThumbprint),
		"AddClientIDToOpenIDConnectProvider":      awswire.Op(f.addClientID),
		"RemoveClientIDFromOpenIDConnectProvider": awswire.Op(f.removeClientID),
		"TagOpenIDConnectProvider":                awswire.Op(f.tagProvider),
		"UntagOpenIDConnectProvider":              awswire.Op(f.untagProvider),
		"ListOpenIDConnectProviderTags":           awswire.Op(f.listProviderTags),
		"DeleteOpenIDConnectProvider":             awswire.Op(f.deleteProvider),
	}
}

func (f face) createProvider(ctx context.Context, c awswire.Call, in *iam.CreateOpenIDConnectProviderInput) (*iam.CreateOpenIDConnectProviderOutput, error) {
	p, err := f.access.CreateProvider(ctx, c.Caller, access.NewProvider{
		Issuer: aws.ToString(in.Url), ClientIDs: in.ClientIDList, Thumbprints: in.ThumbprintList, Tags: readTags(in.Tags),
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreateOpenIDConnectProviderOutput{OpenIDConnectProviderArn: aws.String(p.ARN), Tags: wireTags(readTags(in.Tags))}, nil
}

func (f face) getProvider(ctx context.Context, c awswire.Call, in *iam.GetOpenIDConnectProviderInput) (*iam.GetOpenIDConnectProviderOutput, error) {
	p, tags, err := f.access.Provider(ctx, c.Caller, aws.ToString(in.OpenIDConnectProviderArn))
	if err != nil {
		return nil, err
	}
	_, url, _ := strings.Cut(p.ARN, "/") // as IAM has it, without the scheme
	return &iam.GetOpenIDConnectProviderOutput{
		ClientIDList: p.ClientIDs, CreateDate: date(p.CreatedAt), Tags: wireTags(tags), ThumbprintList: p.Thumbprints,
		Url: aws.String(url),
	}, nil
}

func (f face) listProviders(ctx context.Context, c awswire.Call, _ *iam.ListOpenIDConnectProvidersInput) (*iam.ListOpenIDConnectProvidersOutput, error) {
	all, err := f.access.Providers(ctx, c.Caller)
	if err != nil {
		return nil, err
	}
	list := make([]types.OpenIDConnectProviderListEntry, 0, len(all))
	for _, p := range all {
		list = append(list, types.OpenIDConnectProviderListEntry{Arn: aws.String(p.ARN)})
	}
	return &iam.ListOpenIDConnectProvidersOutput{OpenIDConnectProviderList: list}, nil
}

func (f face) updateThumbprint(ctx context.Context, c awswire.Call, in *iam.UpdateOpenIDConnectProviderThumbprintInput) (*iam.UpdateOpenIDConnectProviderThumbprintOutput, error) {
	return &iam.UpdateOpenIDConnectProviderThumbprintOutput{},
		f.access.SetThumbprints(ctx, c.Caller, aws.ToString(in.OpenIDConnectProviderArn), in.ThumbprintList)
}

func (f face) addClientID(ctx context.Context, c awswire.Call, in *iam.AddClientIDToOpenIDConnectProviderInput) (*iam.AddClientIDToOpenIDConnectProviderOutput, error) {
	return &iam.AddClientIDToOpenIDConnectProviderOutput{},
		f.access.AddClientID(ctx, c.Caller, aws.ToString(in.OpenIDConnectProviderArn), aws.ToString(in.ClientID))
}

func (f face) removeClientID(ctx context.Context, c awswire.Call, in *iam.RemoveClientIDFromOpenIDConnectProviderInput) (*iam.RemoveClientIDFromOpenIDConnectProviderOutput, error) {
	return &iam.RemoveClientIDFromOpenIDConnectProviderOutput{},
		f.access.RemoveClientID(ctx, c.Caller, aws.ToString(in.OpenIDConnectProviderArn), aws.ToString(in.ClientID))
}

func (f face) tagProvider(ctx context.Context, c awswire.Call, in *iam.TagOpenIDConnectProviderInput) (*iam.TagOpenIDConnectProviderOutput, error) {
	return &iam.TagOpenIDConnectProviderOutput{},
		f.access.TagProvider(ctx, c.Caller, aws.ToString(in.OpenIDConnectProviderArn), readTags(in.Tags))
}

func (f face) untagProvider(ctx context.Context, c awswire.Call, in *iam.UntagOpenIDConnectProviderInput) (*iam.UntagOpenIDConnectProviderOutput, error) {
	return &iam.UntagOpenIDConnectProviderOutput{},
		f.access.UntagProvider(ctx, c.Caller, aws.ToString(in.OpenIDConnectProviderArn), in.TagKeys)
}

func (f face) listProviderTags(ctx context.Context, c awswire.Call, in *iam.ListOpenIDConnectProviderTagsInput) (*iam.ListOpenIDConnectProviderTagsOutput, error) {
	tags, marker, err := f.access.ProviderTags(ctx, c.Caller, aws.ToString(in.OpenIDConnectProviderArn), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.ListOpenIDConnectProviderTagsOutput{Tags: wireTags(tags), Marker: markerOf(marker), IsTruncated: marker != ""}, nil
}

func (f face) deleteProvider(ctx context.Context, c awswire.Call, in *iam.DeleteOpenIDConnectProviderInput) (*iam.DeleteOpenIDConnectProviderOutput, error) {
	return &iam.DeleteOpenIDConnectProviderOutput{},
		f.access.DeleteProvider(ctx, c.Caller, aws.ToString(in.OpenIDConnectProviderArn))
}
