package awswire

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// row is what the two families of protocols make of one fault. The message is the fault's own.
type row struct {
	json, query Exception
}

// both is a row whose status is the same in both families.
func both(json, query string, status int) row {
	return row{Exception{Code: json, Status: status}, Exception{Code: query, Status: status}}
}

// about is a row about who the caller is or may do.
func about(json, query string) row {
	return row{Exception{Code: json, Status: http.StatusBadRequest}, Exception{Code: query, Status: http.StatusForbidden}}
}

// shared is the protocols' own table: the faults that mean the same in every service. Amazon answers 400
// to all of the clients' errors in JSON, and 403 to those about credentials in Query.
func shared(code fault.Code) (row, bool) {
	switch code {
	case fault.CredentialsMissing:
		return about("MissingAuthenticationTokenException", "MissingAuthenticationToken"), true
	case fault.CredentialsMalformed:
		return both("IncompleteSignatureException", "IncompleteSignature", http.StatusBadRequest), true
	case fault.AccessKeyUnknown:
		return about("UnrecognizedClientException", "InvalidClientTokenId"), true
	case fault.SignatureMismatch:
		return about("InvalidSignatureException", "SignatureDoesNotMatch"), true
	case fault.SignatureExpired:
		// Clients correct their clock by these codes and the words "Signature expired".
		return about("InvalidSignatureException", "SignatureDoesNotMatch"), true
	case fault.TokenInvalid:
		return about("UnrecognizedClientException", "InvalidClientTokenId"), true
	case fault.TokenExpired, fault.SessionExpired:
		return about("ExpiredTokenException", "ExpiredToken"), true
	case fault.TooManyFailures:
		return both("ThrottlingException", "Throttling", http.StatusBadRequest), true
	case fault.AccessDenied:
		return about("AccessDeniedException", "AccessDenied"), true
	case fault.OperationUnknown:
		return both("UnknownOperationException", "InvalidAction", http.StatusBadRequest), true
	case fault.OperationUnsupported:
		return both("UnsupportedOperationException", "UnsupportedOperation", http.StatusBadRequest), true
	case fault.RequestMalformed:
		return both("SerializationException", "MalformedInput", http.StatusBadRequest), true
	case fault.RequestTooLarge:
		return both("RequestEntityTooLargeException", "RequestEntityTooLarge", http.StatusRequestEntityTooLarge), true
	case fault.InvalidParameter:
		return both("InvalidParameterException", "ValidationError", http.StatusBadRequest), true
	case fault.LayerDamaged:
		return both("ServerException", "InternalFailure", http.StatusInternalServerError), true
	case fault.StorageFull:
		// 500 and not 507, which no AWS client knows what to do with.
		return both("ServerException", "InternalFailure", http.StatusInternalServerError), true
	case fault.Unavailable:
		return both("ServerException", "ServiceUnavailable", http.StatusServiceUnavailable), true
	default:
		return row{}, false
	}
}

// Exception makes of a fault what the protocol makes of it in every service, and tells whether it has an
// opinion. A service's table need not repeat these.
func (p Protocol) Exception(err error) (Exception, bool) {
	f, ok := fault.Of(err)
	if !ok {
		return Exception{}, false
	}
	r, ok := shared(f.Code)
	if !ok {
		return Exception{}, false
	}
	e := r.json
	e.Query = r.query.Code
	if p == Query {
		e = r.query
	}
	e.Message = f.Message
	return e, true
}

// Exceptions makes a service's function from faults to errors of its table, whose messages are the faults' own. What the table
// lacks is the protocol's to know, since every service has those errors; of what neither knows it answers false.
func (p Protocol) Exceptions(table map[fault.Code]Exception) func(error) (Exception, bool) {
	return func(err error) (Exception, bool) {
		f, ok := fault.Of(err)
		if !ok {
			return Exception{}, false
		}
		if e, ok := table[f.Code]; ok {
			e.Message = f.Message
			return e, true
		}
		return p.Exception(f)
	}
}

// malformedFault gives what is wrong with a body the form in which the tables look for it.
func malformedFault(err error) error {
	if m, ok := errors.AsType[*malformed](err); ok {
		return fault.New(fault.RequestMalformed, "The request could not be read: %s.", m.Error())
	}
	return err
}

// internal is what a client learns of an error that no table knows.
func internal(code, requestID string) Exception {
	return Exception{
		Code:    code,
		Status:  http.StatusInternalServerError,
		Message: fmt.Sprintf("internal failure (request %s)", requestID),
	}
}
