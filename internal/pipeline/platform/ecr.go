package platform

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

// ECR makes a client of an ECR from the AWS configuration. The URL is a Berth's, or Amazon, or empty for the endpoint that the
// configuration names; the error is ErrNoEndpoint where it names none, so that nothing happens at Amazon because a
// variable was forgotten.
func ECR(ctx context.Context, url string) (*ecr.Client, error) {
	config, err := AWS(ctx)
	if err != nil {
		return nil, err
	}
	client := ecr.NewFromConfig(config, func(o *ecr.Options) {
		switch url {
		case "": // as configured
		case Amazon:
			o.BaseEndpoint = nil
		default:
			o.BaseEndpoint = &url
		}
	})
	if url != Amazon && client.Options().BaseEndpoint == nil {
		return nil, ErrNoEndpoint
	}
	if _, err := Credentials(ctx, config); err != nil {
		return nil, err
	}
	return client, nil
}
