// Package policy is Berth's permission language: IAM's actions, resource names and documents, and what they decide.
//
// The permission names are ECR's own, on purpose: they are the language in which operators of both
// write their policies. [ParseDocument] reads a document and refuses what it does not understand, [Compile] makes it ready,
// and [Decide] answers a [Question] by all policies that have a say in it. [Decision.Denied] and [Explain] put the
// answer into words. It is pure: what a request is like, it asks of the Context that it is given. The rules are in
// docs/design/policy.md.
package policy

import "fmt"

// Action is a permission's name, such as ecr:PutImage.
type Action string

// ECR's actions: one for each of its operations, but for ListImageReferrers, which asks for BatchGetImage.
const (
	BatchCheckLayerAvailability             Action = "ecr:BatchCheckLayerAvailability"
	BatchDeleteImage                        Action = "ecr:BatchDeleteImage"
	BatchGetImage                           Action = "ecr:BatchGetImage"
	BatchGetRepositoryScanningConfiguration Action = "ecr:BatchGetRepositoryScanningConfiguration"
	CompleteLayerUpload                     Action = "ecr:CompleteLayerUpload"
	CreatePullThroughCacheRule              Action = "ecr:CreatePullThroughCacheRule"
	CreateRepository                        Action = "ecr:CreateRepository"
	CreateRepositoryCreationTemplate        Action = "ecr:CreateRepositoryCreationTemplate"
	DeleteLifecyclePolicy                   Action = "ecr:DeleteLifecyclePolicy"
	DeletePullThroughCacheRule              Action = "ecr:DeletePullThroughCacheRule"
	DeleteRegistryPolicy                    Action = "ecr:DeleteRegistryPolicy"
	DeleteRepository                        Action = "ecr:DeleteRepository"
	DeleteRepositoryCreationTemplate        Action = "ecr:DeleteRepositoryCreationTemplate"
	DeleteRepositoryPolicy                  Action = "ecr:DeleteRepositoryPolicy"
	DeleteSigningConfiguration              Action = "ecr:DeleteSigningConfiguration"
	DeregisterPullTimeUpdateExclusion       Action = "ecr:DeregisterPullTimeUpdateExclusion"
	DescribeImageReplicationStatus          Action = "ecr:DescribeImageReplicationStatus"
	DescribeImageScanFindings               Action = "ecr:DescribeImageScanFindings"
	DescribeImageSigningStatus              Action = "ecr:DescribeImageSigningStatus"
	DescribeImages                          Action = "ecr:DescribeImages"
	DescribePullThroughCacheRules           Action = "ecr:DescribePullThroughCacheRules"
	DescribeRegistry                        Action = "ecr:DescribeRegistry"
	DescribeReplicationBackfillResults      Action = "ecr:DescribeReplicationBackfillResults"
	DescribeRepositories                    Action = "ecr:DescribeRepositories"
	DescribeRepositoryCreationTemplates     Action = "ecr:DescribeRepositoryCreationTemplates"
	GetAccountSetting                       Action = "ecr:GetAccountSetting"
	GetAuthorizationToken                   Action = "ecr:GetAuthorizationToken"
	GetDownloadURLForLayer                  Action = "ecr:GetDownloadUrlForLayer"
	GetLifecyclePolicy                      Action = "ecr:GetLifecyclePolicy"
	GetLifecyclePolicyPreview               Action = "ecr:GetLifecyclePolicyPreview"
	GetRegistryPolicy                       Action = "ecr:GetRegistryPolicy"
	GetRegistryScanningConfiguration        Action = "ecr:GetRegistryScanningConfiguration"
	GetRepositoryPolicy                     Action = "ecr:GetRepositoryPolicy"
	GetSigningConfiguration                 Action = "ecr:GetSigningConfiguration"
	InitiateLayerUpload                     Action = "ecr:InitiateLayerUpload"
	ListImages                              Action = "ecr:ListImages"
	ListPullTimeUpdateExclusions            Action = "ecr:ListPullTimeUpdateExclusions"
	ListReplicationBackfills                Action = "ecr:ListReplicationBackfills"
	ListTagsForResource                     Action = "ecr:ListTagsForResource"
	PutAccountSetting                       Action = "ecr:PutAccountSetting"
	PutImage                                Action = "ecr:PutImage"
	PutImageScanningConfig                  Action = "ecr:PutImageScanningConfiguration"
	PutImageTagMutability                   Action = "ecr:PutImageTagMutability"
	PutLifecyclePolicy                      Action = "ecr:PutLifecyclePolicy"
	PutRegistryPolicy                       Action = "ecr:PutRegistryPolicy"
	PutRegistryScanningConfiguration        Action = "ecr:PutRegistryScanningConfiguration"
	PutReplicationConfiguration             Action = "ecr:PutReplicationConfiguration"
	PutSigningConfiguration                 Action = "ecr:PutSigningConfiguration"
	RegisterPullTimeUpdateExclusion         Action = "ecr:RegisterPullTimeUpdateExclusion"
	SetRepositoryPolicy                     Action = "ecr:SetRepositoryPolicy"
	StartImageScan                          Action = "ecr:StartImageScan"
	StartLifecyclePolicyPreview             Action = "ecr:StartLifecyclePolicyPreview"
	StartReplicationBackfill                Action = "ecr:StartReplicationBackfill"
	StopReplicationBackfill                 Action = "ecr:StopReplicationBackfill"
	TagResource                             Action = "ecr:TagResource"
	UntagResource                           Action = "ecr:UntagResource"
	UpdateImageStorageClass                 Action = "ecr:UpdateImageStorageClass"
	UpdatePullThroughCacheRule              Action = "ecr:UpdatePullThroughCacheRule"
	UpdateRepositoryCreationTemplate        Action = "ecr:UpdateRepositoryCreationTemplate"
	UploadLayerPart                         Action = "ecr:UploadLayerPart"
	ValidatePullThroughCacheRule            Action = "ecr:ValidatePullThroughCacheRule"
)

// Actions that are no operations: what an upstream's image and another registry's image come in by.
const (
	BatchImportUpstreamImage Action = "ecr:BatchImportUpstreamImage"
	ReplicateImage           Action = "ecr:ReplicateImage"
)

// AnyResource is what actions that belong to no resource are asked on.
const AnyResource = "*"

// RepositoryARN names a repository as policies do.
func RepositoryARN(region, account, name string) string {
	return fmt.Sprintf("arn:aws:ecr:%s:%s:repository/%s", region, account, name)
}
