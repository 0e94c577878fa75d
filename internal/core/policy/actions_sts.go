package policy

// STS's actions. GetCallerIdentity and GetSessionToken are asked of no policy, as at AWS.
const (
	AssumeRole                 Action = "sts:AssumeRole"
	AssumeRoleWithWebIdentity  Action = "sts:AssumeRoleWithWebIdentity"
	TagSession                 Action = "sts:TagSession"
	SetSourceIdentity          Action = "sts:SetSourceIdentity"
	GetAccessKeyInfo           Action = "sts:GetAccessKeyInfo"
	DecodeAuthorizationMessage Action = "sts:DecodeAuthorizationMessage"
)

// IAM's actions about OIDC providers.
const (
	CreateOpenIDConnectProvider             Action = "iam:CreateOpenIDConnectProvider"
	GetOpenIDConnectProvider                Action = "iam:GetOpenIDConnectProvider"
	ListOpenIDConnectProviders              Action = "iam:ListOpenIDConnectProviders"
	UpdateOpenIDConnectProviderThumbprint   Action = "iam:UpdateOpenIDConnectProviderThumbprint"
	AddClientIDToOpenIDConnectProvider      Action = "iam:AddClientIDToOpenIDConnectProvider"
	RemoveClientIDFromOpenIDConnectProvider Action = "iam:RemoveClientIDFromOpenIDConnectProvider"
	TagOpenIDConnectProvider                Action = "iam:TagOpenIDConnectProvider"
	UntagOpenIDConnectProvider              Action = "iam:UntagOpenIDConnectProvider"
	ListOpenIDConnectProviderTags           Action = "iam:ListOpenIDConnectProviderTags"
	DeleteOpenIDConnectProvider             Action = "iam:DeleteOpenIDConnectProvider"
)
