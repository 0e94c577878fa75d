// Package sts is the AWS Security Token Service's API over the account's principals: who a caller is, and the temporary
// credentials that stand for one.
package sts

import (
	"maps"
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
		Exceptions: exception,
	}
}

// operations gathers the families. Each family's file names its own.
func (f face) operations() map[string]awswire.Operation {
	all := map[string]awswire.Operation{}
	for _, family := range []map[string]awswire.Operation{f.assumeOperations(), f.sessionOperations(), f.decodeOperations()} {
		maps.Copy(all, family)
	}
	return all
}

// exception is the table from faults to STS's errors. A new fault is decided on here or in the protocol's table, or
// fails the test.
func exception(err error) (awswire.Exception, bool) {
	f, ok := fault.Of(err)
	if !ok {
		return awswire.Exception{}, false
	}
	switch f.Code {
	case fault.EntityNotFound:
		return awswire.Exception{Code: "NoSuchEntity", Status: http.StatusNotFound, Message: f.Message}, true
	case fault.PolicyMalformed:
		return awswire.Exception{Code: "MalformedPolicyDocument", Status: http.StatusBadRequest, Message: f.Message}, true
	case fault.SessionTooLarge:
		return awswire.Exception{Code: "PackedPolicyTooLarge", Status: http.StatusBadRequest, Message: f.Message}, true
	case fault.IdentityTokenInvalid:
		return awswire.Exception{Code: "InvalidIdentityToken", Status: http.StatusBadRequest, Message: f.Message}, true
	case fault.IdentityTokenExpired:
		return awswire.Exception{Code: "ExpiredTokenException", Status: http.StatusBadRequest, Message: f.Message}, true
	case fault.IdentityTokenRejected:
		return awswire.Exception{Code: "IDPRejectedClaim", Status: http.StatusForbidden, Message: f.Message}, true
	case fault.IdentityProviderUnavailable:
		return awswire.Exception{Code: "IDPCommunicationError", Status: http.StatusBadRequest, Message: f.Message}, true
	case fault.DecisionMessageInvalid:
		return awswire.Exception{Code: "InvalidAuthorizationMessageException", Status: http.StatusBadRequest, Message: f.Message}, true
	case fault.EntityExists, fault.EntityInUse, fault.EntityUnmodifiable, fault.PolicyNotAttachable, fault.SettingUnsupported:
		return awswire.Exception{Code: "ValidationError", Status: http.StatusBadRequest, Message: f.Message}, true
	case fault.LimitExceeded:
		return awswire.Exception{Code: "LimitExceeded", Status: http.StatusConflict, Message: f.Message}, true
	default:
		// The protocol's own errors are STS's too. An operation that met a fault of the registry's would be a mistake of
		// ours, to be logged.
		return awswire.Query.Exception(f)
	}
}
