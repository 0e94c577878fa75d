package ecr

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// maxScannedNames is how many repositories BatchGetRepositoryScanningConfiguration is asked about.
const maxScannedNames = 25

// scanningOperations names what is done about scans.
func (f face) scanningOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"PutRegistryScanningConfiguration":        awswire.Op(f.putRegistryScanningConfiguration),
		"GetRegistryScanningConfiguration":        awswire.Op(f.getRegistryScanningConfiguration),
		"BatchGetRepositoryScanningConfiguration": awswire.Op(f.batchGetRepositoryScanningConfiguration),
		"StartImageScan":                          awswire.Op(f.startImageScan),
		"DescribeImageScanFindings":               awswire.Op(f.describeImageScanFindings),
	}
}

func (f face) putRegistryScanningConfiguration(ctx context.Context, call awswire.Call, in *wire.PutRegistryScanningConfigurationInput) (*wire.PutRegistryScanningConfigurationOutput, error) {
	s, err := readScanning(in)
	if err != nil {
		return nil, err
	}
	if err := f.Registry.PutScanning(ctx, call.Caller, s); err != nil {
		return nil, err
	}
	return &wire.PutRegistryScanningConfigurationOutput{RegistryScanningConfiguration: wireScanning(s)}, nil
}

// readScanning reads the configuration that a call makes; its words are for the registry to judge.
func readScanning(in *wire.PutRegistryScanningConfigurationInput) (registry.Scanning, error) {
	s := registry.Scanning{Kind: registry.ScanKind(in.ScanType)}
	if in.ScanType == "" {
		s.Kind = registry.Basic
	}
	for i, rule := range in.Rules {
		at := fmt.Sprintf("rules.%d.member.", i+1)
		if rule.ScanFrequency == "" {
			return registry.Scanning{}, missing(at + "scanFrequency")
		}
		if err := oneOf(at+"scanFrequency", rule.ScanFrequency, rule.ScanFrequency.Values()); err != nil {
			return registry.Scanning{}, err
		}
		if rule.RepositoryFilters == nil {
			return registry.Scanning{}, missing(at + "repositoryFilters")
		}
		read := registry.ScanRule{Frequency: registry.ScanFrequency(rule.ScanFrequency)}
		for j, filter := range rule.RepositoryFilters {
			at := fmt.Sprintf("%srepositoryFilters.%d.member.", at, j+1)
			if filter.FilterType == "" {
				return registry.Scanning{}, missing(at + "filterType")
			}
			if err := oneOf(at+"filterType", filter.FilterType, filter.FilterType.Values()); err != nil {
				return registry.Scanning{}, err
			}
			text, err := required(at+"filter", filter.Filter)
			if err != nil {
				return registry.Scanning{}, err
			}
			read.Filters = append(read.Filters, text)
		}
		s.Rules = append(s.Rules, read)
	}
	return s, nil
}

func wireScanning(s registry.Scanning) *types.RegistryScanningConfiguration {
	out := &types.RegistryScanningConfiguration{ScanType: types.ScanType(s.Kind), Rules: []types.RegistryScanningRule{}}
	for _, rule := range s.Rules {
		out.Rules = append(out.Rules, types.RegistryScanningRule{
			ScanFrequency: types.ScanFrequency(rule.Frequency), RepositoryFilters: wireScanFilters(rule.Filters),
		})
	}
	return out
}

func wireScanFilters(filters []string) []types.ScanningRepositoryFilter {
	out := make([]types.ScanningRepositoryFilter, 0, len(filters))
	for _, filter := range filters {
		out = append(out, types.ScanningRepositoryFilter{Filter: aws.String(filter), FilterType: types.ScanningRepositoryFilterTypeWildcard})
	}
	return out
}

func (f face) getRegistryScanningConfiguration(ctx context.Context, call awswire.Call, _ *wire.GetRegistryScanningConfigurationInput) (*wire.GetRegistryScanningConfigurationOutput, error) {
	s, err := f.Registry.Scanning(ctx, call.Caller)
	if err != nil {
		return nil, err
	}
	return &wire.GetRegistryScanningConfigurationOutput{RegistryId: aws.String(f.Registry.ID()), ScanningConfiguration: wireScanning(s)}, nil
}

func (f face) batchGetRepositoryScanningConfiguration(ctx context.Context, call awswire.Call, in *wire.BatchGetRepositoryScanningConfigurationInput) (*wire.BatchGetRepositoryScanningConfigurationOutput, error) {
	if err := batch("repositoryNames", in.RepositoryNames, maxScannedNames); err != nil {
		return nil, err
	}
	for _, name := range in.RepositoryNames {
		if _, err := oci.ParseRepositoryName(name); err != nil {
			return nil, err
		}
	}
	found, missing, err := f.Registry.RepositoryScannings(ctx, call.Caller, in.RepositoryNames)
	if err != nil {
		return nil, err
	}
	out := &wire.BatchGetRepositoryScanningConfigurationOutput{
		ScanningConfigurations: []types.RepositoryScanningConfiguration{}, Failures: []types.RepositoryScanningConfigurationFailure{},
	}
	for _, s := range found {
		out.ScanningConfigurations = append(out.ScanningConfigurations, types.RepositoryScanningConfiguration{
			RepositoryArn: aws.String(f.Registry.ARN(s.Repository.Name)), RepositoryName: aws.String(s.Repository.Name),
			ScanFrequency: types.ScanFrequency(s.Frequency), ScanOnPush: s.OnPush, AppliedScanFilters: wireScanFilters(s.Filters),
		})
	}
	for _, name := range missing {
		out.Failures = append(out.Failures, types.RepositoryScanningConfigurationFailure{
			RepositoryName: aws.String(name), FailureCode: types.ScanningConfigurationFailureCodeRepositoryNotFound,
			FailureReason: aws.String(f.Registry.RepositoryNotFound(name, f.Registry.ID()).Error()),
		})
	}
	return out, nil
}

func (f face) startImageScan(ctx context.Context, call awswire.Call, in *wire.StartImageScanInput) (*wire.StartImageScanOutput, error) {
	name, id, err := f.oneImage(in.RepositoryName, in.RegistryId, in.ImageId)
	if err != nil {
		return nil, err
	}
	img, scan, err := f.Registry.StartScan(ctx, call.Caller, name, id)
	if err != nil {
		return nil, err
	}
	return &wire.StartImageScanOutput{
		RegistryId: aws.String(f.Registry.ID()), RepositoryName: aws.String(name),
		ImageId: wireScannedID(img, id), ImageScanStatus: wireScanStatus(scan),
	}, nil
}

// oneImage reads the repository and the image of a request that is about one.
func (f face) oneImage(repository, registryID *string, in *types.ImageIdentifier) (string, registry.ImageID, error) {
	name, err := f.repository(repository, registryID)
	if err != nil {
		return "", registry.ImageID{}, err
	}
	id, err := required("imageId", in)
	if err != nil {
		return "", registry.ImageID{}, err
	}
	if id.ImageTag != nil && *id.ImageTag == "" {
		return "", registry.ImageID{}, tooShort("imageTag")
	}
	return name, registry.ImageID{Tag: aws.ToString(id.ImageTag), Digest: aws.ToString(id.ImageDigest)}, nil
}

// wireScannedID names the image by its digest, and by its tag where it was asked for by that.
func wireScannedID(img registry.Image, asked registry.ImageID) *types.ImageIdentifier {
	id := wireID(registry.ImageID{Digest: img.Digest.String(), Tag: asked.Tag})
	return &id
}

func wireScanStatus(s registry.Scan) *types.ImageScanStatus {
	return &types.ImageScanStatus{Status: types.ScanStatus(s.Status), Description: optional(s.Description)}
}
