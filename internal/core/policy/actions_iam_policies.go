package policy

// IAM's actions on roles: one for each operation.
const (
	CreateRole                    Action = "iam:CreateRole"
	DeleteRole                    Action = "iam:DeleteRole"
	DeleteRolePermissionsBoundary Action = "iam:DeleteRolePermissionsBoundary"
	DeleteUserPermissionsBoundary Action = "iam:DeleteUserPermissionsBoundary"
	GetRole                       Action = "iam:GetRole"
	ListInstanceProfilesForRole   Action = "iam:ListInstanceProfilesForRole"
	ListRoleTags                  Action = "iam:ListRoleTags"
	ListRoles                     Action = "iam:ListRoles"
	PutRolePermissionsBoundary    Action = "iam:PutRolePermissionsBoundary"
	PutUserPermissionsBoundary    Action = "iam:PutUserPermissionsBoundary"
	TagRole                       Action = "iam:TagRole"
	UntagRole                     Action = "iam:UntagRole"
	UpdateAssumeRolePolicy        Action = "iam:UpdateAssumeRolePolicy"
	UpdateRole                    Action = "iam:UpdateRole"
	UpdateRoleDescription         Action = "iam:UpdateRoleDescription"
)

// IAM's actions on the policies that belong to a user, group or role.
const (
	DeleteGroupPolicy Action = "iam:DeleteGroupPolicy"
	DeleteRolePolicy  Action = "iam:DeleteRolePolicy"
	DeleteUserPolicy  Action = "iam:DeleteUserPolicy"
	GetGroupPolicy    Action = "iam:GetGroupPolicy"
	GetRolePolicy     Action = "iam:GetRolePolicy"
	GetUserPolicy     Action = "iam:GetUserPolicy"
	ListGroupPolicies Action = "iam:ListGroupPolicies"
	ListRolePolicies  Action = "iam:ListRolePolicies"
	ListUserPolicies  Action = "iam:ListUserPolicies"
	PutGroupPolicy    Action = "iam:PutGroupPolicy"
	PutRolePolicy     Action = "iam:PutRolePolicy"
	PutUserPolicy     Action = "iam:PutUserPolicy"
)

// IAM's actions on managed policies and where they hang.
const (
	AttachGroupPolicy         Action = "iam:AttachGroupPolicy"
	AttachRolePolicy          Action = "iam:AttachRolePolicy"
	AttachUserPolicy          Action = "iam:AttachUserPolicy"
	CreatePolicy              Action = "iam:CreatePolicy"
	CreatePolicyVersion       Action = "iam:CreatePolicyVersion"
	DeletePolicy              Action = "iam:DeletePolicy"
	DeletePolicyVersion       Action = "iam:DeletePolicyVersion"
	DetachGroupPolicy         Action = "iam:DetachGroupPolicy"
	DetachRolePolicy          Action = "iam:DetachRolePolicy"
	DetachUserPolicy          Action = "iam:DetachUserPolicy"
	GetPolicy                 Action = "iam:GetPolicy"
	GetPolicyVersion          Action = "iam:GetPolicyVersion"
	ListAttachedGroupPolicies Action = "iam:ListAttachedGroupPolicies"
	ListAttachedRolePolicies  Action = "iam:ListAttachedRolePolicies"
	ListAttachedUserPolicies  Action = "iam:ListAttachedUserPolicies"
	ListEntitiesForPolicy     Action = "iam:ListEntitiesForPolicy"
	ListPolicies              Action = "iam:ListPolicies"
	ListPolicyTags            Action = "iam:ListPolicyTags"
	ListPolicyVersions        Action = "iam:ListPolicyVersions"
	SetDefaultPolicyVersion   Action = "iam:SetDefaultPolicyVersion"
	TagPolicy                 Action = "iam:TagPolicy"
	UntagPolicy               Action = "iam:UntagPolicy"
)

// IAM's actions that explain decisions, and what they are made by.
const (
	GetAccountAuthorizationDetails   Action = "iam:GetAccountAuthorizationDetails"
	GetContextKeysForCustomPolicy    Action = "iam:GetContextKeysForCustomPolicy"
	GetContextKeysForPrincipalPolicy Action = "iam:GetContextKeysForPrincipalPolicy"
	SimulateCustomPolicy             Action = "iam:SimulateCustomPolicy"
	SimulatePrincipalPolicy          Action = "iam:SimulatePrincipalPolicy"
)
