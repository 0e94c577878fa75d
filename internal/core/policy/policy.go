// Package policy is Berth's permission language: IAM's actions and resource names.
//
// The permission names are ECR's own, on purpose: they are the language in which operators of both
// write their policies. Documents and their evaluation join this package with the Identity work; until
// then the account's root principal is allowed everything and nobody else anything.
package policy

import "fmt"

// Action is a permission's name, such as ecr:PutImage.
type Action string

// The actions that the registry asks for.
const (
	GetAuthorizationToken       Action = "ecr:GetAuthorizationToken"
	CreateRepository            Action = "ecr:CreateRepository"
	DescribeRepositories        Action = "ecr:DescribeRepositories"
	DeleteRepository            Action = "ecr:DeleteRepository"
	PutImageTagMutability       Action = "ecr:PutImageTagMutability"
	PutImageScanningConfig      Action = "ecr:PutImageScanningConfiguration"
	TagResource                 Action = "ecr:TagResource"
	UntagResource               Action = "ecr:UntagResource"
	ListTagsForResource         Action = "ecr:ListTagsForResource"
	DescribeRegistry            Action = "ecr:DescribeRegistry"
	PutImage                    Action = "ecr:PutImage"
	BatchGetImage               Action = "ecr:BatchGetImage"
	BatchDeleteImage            Action = "ecr:BatchDeleteImage"
	DescribeImages              Action = "ecr:DescribeImages"
	ListImages                  Action = "ecr:ListImages"
	BatchCheckLayerAvailability Action = "ecr:BatchCheckLayerAvailability"
	InitiateLayerUpload         Action = "ecr:InitiateLayerUpload"
	UploadLayerPart             Action = "ecr:UploadLayerPart"
	CompleteLayerUpload         Action = "ecr:CompleteLayerUpload"
	GetDownloadURLForLayer      Action = "ecr:GetDownloadUrlForLayer"
)

// AnyResource is what actions that belong to no resource are asked on.
const AnyResource = "*"

// RepositoryARN names a repository as policies do.
func RepositoryARN(region, account, name string) string {
	return fmt.Sprintf("arn:aws:ecr:%s:%s:repository/%s", region, account, name)
}

// Denied words a refusal as AWS does, naming principal, action, resource and reason.
func Denied(principal string, action Action, resource string) string {
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action",
		principal, action, resource, action)
}
