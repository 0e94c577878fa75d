// Package sts is the AWS Security Token Service's API over the account's principals: who a caller is, and the temporary
// credentials that stand for one.
package sts

import (
	"net/http"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// face holds the operations.
type face struct {
	access *access.Service
}

// New makes the service.
func New(a *access.Service) awswire.Service {
	return awswire.Service{
		Name:       "sts",
		Protocol:   awswire.Query,
		Version:    "2011-06-15",
		Namespace:  "https://sts.amazonaws.com/doc/2011-06-15/",
		Operations: face{a}.operations(),
		Known: []string{
			"AssumeRoleWithSAML", "AssumeRoot", "GetDelegatedAccessToken", "GetFederationToken", "GetWebIdentityToken",
		},
		// The service model's one name that breaks the rule.
		Members:    map[string]string{"PolicyDescriptorType.Arn": "arn"},
		Exceptions: awswire.Query.Exceptions(exceptions()),
	}
}

// operations gathers the families. Each family's file names its own.
func (f face) operations() map[string]awswire.Operation {
	return awswire.Operations(f.assumeOperations(), f.sessionOperations(), f.decodeOperations())
}

// exceptions is the table from faults to STS's errors; the protocol's own are STS's too. A new fault is decided on in one or
// the other, or fails the test. An operation that met a fault of the registry's, which neither has, would be a mistake of
// ours, to be logged.
func exceptions() map[fault.Code]awswire.Exception {
	invalid := awswire.Exception{Code: "ValidationError", Status: http.StatusBadRequest}
	return map[fault.Code]awswire.Exception{
		fault.EntityNotFound:              {Code: "NoSuchEntity", Status: http.StatusNotFound},
		fault.PolicyMalformed:             {Code: "MalformedPolicyDocument", Status: http.StatusBadRequest},
		fault.SessionTooLarge:             {Code: "PackedPolicyTooLarge", Status: http.StatusBadRequest},
		fault.IdentityTokenInvalid:        {Code: "InvalidIdentityToken", Status: http.StatusBadRequest},
		fault.IdentityTokenExpired:        {Code: "ExpiredTokenException", Status: http.StatusBadRequest},
		fault.IdentityTokenRejected:       {Code: "IDPRejectedClaim", Status: http.StatusForbidden},
		fault.IdentityProviderUnavailable: {Code: "IDPCommunicationError", Status: http.StatusBadRequest},
		fault.DecisionMessageInvalid:      {Code: "InvalidAuthorizationMessageException", Status: http.StatusBadRequest},
		fault.LimitExceeded:               {Code: "LimitExceeded", Status: http.StatusConflict},
		fault.EntityExists:                invalid,
		fault.EntityInUse:                 invalid,
		fault.EntityUnmodifiable:          invalid,
		fault.PolicyNotAttachable:         invalid,
		fault.SettingUnsupported:          invalid,
	}
}
