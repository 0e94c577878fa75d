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
		Exceptions: awswire.Query.Exceptions(exceptions()),
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

// exceptions is the table from faults to IAM's errors; the protocol's own are IAM's too. An operation that met a fault of the
// registry's, which neither has, would be a mistake of ours, to be logged.
func exceptions() map[fault.Code]awswire.Exception {
	invalid := awswire.Exception{Code: "InvalidInput", Status: http.StatusBadRequest}
	return map[fault.Code]awswire.Exception{
		fault.EntityNotFound:              {Code: "NoSuchEntity", Status: http.StatusNotFound},
		fault.EntityExists:                {Code: "EntityAlreadyExists", Status: http.StatusConflict},
		fault.EntityInUse:                 {Code: "DeleteConflict", Status: http.StatusConflict},
		fault.EntityUnmodifiable:          {Code: "UnmodifiableEntity", Status: http.StatusBadRequest},
		fault.LimitExceeded:               {Code: "LimitExceeded", Status: http.StatusConflict},
		fault.PolicyMalformed:             {Code: "MalformedPolicyDocument", Status: http.StatusBadRequest},
		fault.PolicyNotAttachable:         {Code: "PolicyNotAttachable", Status: http.StatusBadRequest},
		fault.IdentityProviderUnavailable: {Code: "OpenIdIdpCommunicationError", Status: http.StatusBadRequest},
		fault.SettingUnsupported:          invalid,

		// No operation of IAM's has these.
		fault.SessionTooLarge:        invalid,
		fault.IdentityTokenInvalid:   invalid,
		fault.IdentityTokenExpired:   invalid,
		fault.IdentityTokenRejected:  invalid,
		fault.DecisionMessageInvalid: invalid,
	}
}
