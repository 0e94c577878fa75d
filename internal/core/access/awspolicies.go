package access

import (
	"strings"
	"time"
)

// awsPrefix is what the ARNs of AWS's own managed policies begin with.
const awsPrefix = "arn:aws:iam::aws:policy/"

// builtIn is a managed policy that every AWS account has and people attach by ARN, as the AWS Managed Policy Reference Guide
// has it.
type builtIn struct {
	ManagedPolicy
	Document string
}

// awsDocument gives the document of one of the managed policies that every AWS account has; nothing for any other ARN.
func awsDocument(arn string) string {
	p, _ := awsPolicy(arn)
	return p.Document
}

// awsPolicy finds one by its ARN.
func awsPolicy(arn string) (builtIn, bool) {
	if !strings.HasPrefix(arn, awsPrefix) { // before the list is made
		return builtIn{}, false
	}
	for _, p := range awsPolicies() {
		if p.ARN == arn {
			return p, true
		}
	}
	return builtIn{}, false
}

func awsManaged(id, name, description, document string, version int, created, updated string) builtIn {
	parse := func(text string) time.Time {
		t, _ := time.Parse(time.RFC3339, text) // constants, which a test holds to be times
		return t
	}
	return builtIn{
		ManagedPolicy: ManagedPolicy{
			ARN: awsPrefix + name, ID: id, Name: name, Path: "/", Description: description, InForce: version, LastVersion: version,
			CreatedAt: parse(created), UpdatedAt: parse(updated),
		},
		Document: document,
	}
}

// awsPolicies are those that make sense here: ECR's and IAM's, and the administrator's.
func awsPolicies() []builtIn {
	return []builtIn{
		awsManaged("ANPAIWMBCKSKIEE64ZLYK", "AdministratorAccess", "Provides full access to AWS services and resources.",
			administratorAccess, 1, "2015-02-06T18:39:46Z", "2015-02-06T18:39:46Z"),
		awsManaged("ANPAIESRL7KD7IIVF6V4W", "AmazonEC2ContainerRegistryFullAccess", "Provides administrative access to Amazon ECR resources",
			registryFullAccess, 2, "2015-12-21T17:06:48Z", "2021-12-04T00:04:54Z"),
		awsManaged("ANPAJDNE5PIHROIBGGDDW", "AmazonEC2ContainerRegistryPowerUser", "Provides full access to Amazon EC2 Container Registry repositories, but does not allow repository deletion or policy changes.",
			registryPowerUser, 3, "2015-12-21T17:05:33Z", "2019-12-10T20:48:22Z"),
		// Its id and the seconds of its times are made up.
		awsManaged("ANPABERTHECRPULLONLY1", "AmazonEC2ContainerRegistryPullOnly", "Grants pull permissions to Amazon ECR repositories.",
			registryPullOnly, 1, "2024-10-10T00:00:00Z", "2024-10-10T00:00:00Z"),
		awsManaged("ANPAIFYZPA37OOHVIH7KQ", "AmazonEC2ContainerRegistryReadOnly", "Provides read-only access to Amazon EC2 Container Registry repositories.",
			registryReadOnly, 3, "2015-12-21T17:04:15Z", "2019-12-10T20:56:22Z"),
		awsManaged("ANPAI7XKCFMBPM3QQRRVQ", "IAMFullAccess", "Provides full access to IAM via the AWS Management Console.",
			iamFullAccess, 2, "2015-02-06T18:40:38Z", "2019-06-21T19:40:00Z"),
		awsManaged("ANPAJKSO7NDY4T57MWDSQ", "IAMReadOnlyAccess", "Provides read only access to IAM via the AWS Management Console.",
			iamReadOnlyAccess, 4, "2015-02-06T18:40:39Z", "2018-01-25T19:11:27Z"),
	}
}

const administratorAccess = `{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "*",
            "Resource": "*"
        }
    ]
}`

const registryFullAccess = `{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "ecr:*",
                "cloudtrail:LookupEvents"
            ],
            "Resource": "*"
        },
        {
            "Effect": "Allow",
            "Action": [
                "iam:CreateServiceLinkedRole"
            ],
            "Resource": "*",
            "Condition": {
                "StringEquals": {
                    "iam:AWSServiceName": [
                        "replication.ecr.amazonaws.com"
                    ]
                }
            }
        }
    ]
}`

const registryPowerUser = `{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "ecr:GetAuthorizationToken",
                "ecr:BatchCheckLayerAvailability",
                "ecr:GetDownloadUrlForLayer",
                "ecr:GetRepositoryPolicy",
                "ecr:DescribeRepositories",
                "ecr:ListImages",
                "ecr:DescribeImages",
                "ecr:BatchGetImage",
                "ecr:GetLifecyclePolicy",
                "ecr:GetLifecyclePolicyPreview",
                "ecr:ListTagsForResource",
                "ecr:DescribeImageScanFindings",
                "ecr:InitiateLayerUpload",
                "ecr:UploadLayerPart",
                "ecr:CompleteLayerUpload",
                "ecr:PutImage"
            ],
            "Resource": "*"
        }
    ]
}`

const registryPullOnly = `{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "ecr:GetAuthorizationToken",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
                "ecr:BatchImportUpstreamImage"
            ],
            "Resource": "*"
        }
    ]
}`

const registryReadOnly = `{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "ecr:GetAuthorizationToken",
                "ecr:BatchCheckLayerAvailability",
                "ecr:GetDownloadUrlForLayer",
                "ecr:GetRepositoryPolicy",
                "ecr:DescribeRepositories",
                "ecr:ListImages",
                "ecr:DescribeImages",
                "ecr:BatchGetImage",
                "ecr:GetLifecyclePolicy",
                "ecr:GetLifecyclePolicyPreview",
                "ecr:ListTagsForResource",
                "ecr:DescribeImageScanFindings"
            ],
            "Resource": "*"
        }
    ]
}`

const iamFullAccess = `{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "iam:*",
                "organizations:DescribeAccount",
                "organizations:DescribeOrganization",
                "organizations:DescribeOrganizationalUnit",
                "organizations:DescribePolicy",
                "organizations:ListChildren",
                "organizations:ListParents",
                "organizations:ListPoliciesForTarget",
                "organizations:ListRoots",
                "organizations:ListPolicies",
                "organizations:ListTargetsForPolicy"
            ],
            "Resource": "*"
        }
    ]
}`

const iamReadOnlyAccess = `{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "iam:GenerateCredentialReport",
                "iam:GenerateServiceLastAccessedDetails",
                "iam:Get*",
                "iam:List*",
                "iam:SimulateCustomPolicy",
                "iam:SimulatePrincipalPolicy"
            ],
            "Resource": "*"
        }
    ]
}`
