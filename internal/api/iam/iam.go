// Package iam is AWS Identity and Access Management's API over the account's principals: it translates names, and decides
// nothing.
//
// The wire types are the AWS SDK's own structs. Each operation is a method of face that turns its input into a call of
// internal/core/access and the answer back. What differs from AWS is written down in docs/api/iam.md.
package iam

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
	done := face{a}.operations()
	return awswire.Service{
		Name:       "iam",
		Protocol:   awswire.Query,
		Version:    "2010-05-08",
		Namespace:  "https://iam.amazonaws.com/doc/2010-05-08/",
		Operations: done,
		Known:      awswire.Others(everyOperation, done),
		Exceptions: exception,
	}
}

// operations gathers the families. Each family's file names its own.
func (f face) operations() map[string]awswire.Operation {
	return awswire.Operations(
		f.userOperations(),
		f.roleOperations(),
		f.policyOperations(),
		f.providerOperations(),
	)
}

// exception is the table from faults to IAM's errors.
func exception(err error) (awswire.Exception, bool) {
	f, ok := fault.Of(err)
	if !ok {
		return awswire.Exception{}, false
	}
	refused := func(code string, status int) (awswire.Exception, bool) {
		return awswire.Exception{Code: code, Status: status, Message: f.Message}, true
	}
	switch f.Code {
	case fault.EntityNotFound:
		return refused("NoSuchEntity", http.StatusNotFound)
	case fault.EntityExists:
		return refused("EntityAlreadyExists", http.StatusConflict)
	case fault.EntityInUse:
		return refused("DeleteConflict", http.StatusConflict)
	case fault.EntityUnmodifiable:
		return refused("UnmodifiableEntity", http.StatusBadRequest)
	case fault.LimitExceeded:
		return refused("LimitExceeded", http.StatusConflict)
	case fault.PolicyMalformed:
		return refused("MalformedPolicyDocument", http.StatusBadRequest)
	case fault.PolicyNotAttachable:
		return refused("PolicyNotAttachable", http.StatusBadRequest)
	case fault.IdentityProviderUnavailable:
		return refused("OpenIdIdpCommunicationError", http.StatusBadRequest)
	case fault.SettingUnsupported, fault.SessionTooLarge, fault.IdentityTokenInvalid, fault.IdentityTokenExpired,
		fault.IdentityTokenRejected, fault.DecisionMessageInvalid:
		return refused("InvalidInput", http.StatusBadRequest)
	default:
		// The protocol's own errors are IAM's too. An operation that met a fault of the registry's would be a mistake of
		// ours, to be logged.
		return awswire.Query.Exception(f)
	}
}
