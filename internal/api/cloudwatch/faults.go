package cloudwatch

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// CloudWatch's exceptions: the shape's name, and the code that Query and the clients of the other protocols know it by.
var (
	invalidValue       = awswire.Exception{Code: "InvalidParameterValueException", Query: "InvalidParameterValue", Status: http.StatusBadRequest}
	invalidCombination = awswire.Exception{Code: "InvalidParameterCombinationException", Query: "InvalidParameterCombination", Status: http.StatusBadRequest}
	missingParameter   = awswire.Exception{Code: "MissingRequiredParameterException", Query: "MissingParameter", Status: http.StatusBadRequest}
	invalidNextToken   = awswire.Exception{Code: "InvalidNextToken", Status: http.StatusBadRequest}
	limitExceeded      = awswire.Exception{Code: "LimitExceededFault", Query: "LimitExceeded", Status: http.StatusBadRequest}
	resourceNotFound   = awswire.Exception{Code: "ResourceNotFound", Status: http.StatusNotFound}
	// validationError is no shape of the model, and what GetMetricData answers all the same.
	validationError = awswire.Exception{Code: "ValidationError", Status: http.StatusBadRequest}
	// internalFault writes its message with a capital letter, as only some of the model's exceptions do.
	internalFault = awswire.Exception{
		Code: "InternalServiceFault", Query: "InternalServiceError", Status: http.StatusInternalServerError, MessageMember: "Message",
	}
)

// exceptions is the table of what each fault becomes. What every AWS service makes of bad credentials and broken requests is
// awswire's to say; the two leave out no fault that an operation here can meet, which a test holds.
func exceptions() map[fault.Code]awswire.Exception {
	return map[fault.Code]awswire.Exception{
		fault.InvalidParameter:    invalidValue,
		fault.SettingUnsupported:  invalidValue,
		fault.ResourceTagInvalid:  invalidValue,
		fault.PageTokenInvalid:    invalidNextToken,
		fault.LimitExceeded:       limitExceeded,
		fault.TooManyResourceTags: limitExceeded,
		fault.EntityNotFound:      resourceNotFound,
		fault.EntityExists:        invalidValue,
		fault.EntityInUse:         invalidValue,
		fault.RepositoryNotFound:  resourceNotFound,
		fault.StorageFull:         internalFault,
		fault.LayerDamaged:        internalFault,
		fault.Unavailable:         internalFault,
	}
}

// refusal is what only this API tells apart from an invalid parameter.
type refusal struct {
	as      awswire.Exception
	message string
}

func (r *refusal) Error() string { return r.message }

func asRefusal(err error) (*refusal, bool) { return errors.AsType[*refusal](err) }

// missing refuses a request without something that it needs.
func missing(parameter string) error {
	return &refusal{missingParameter, fmt.Sprintf("The parameter %s is required.", parameter)}
}

// combination refuses what does not go together.
func combination(format string, args ...any) error {
	return &refusal{invalidCombination, fmt.Sprintf(format, args...)}
}

// invalid refuses a value.
func invalid(format string, args ...any) error {
	return fault.New(fault.InvalidParameter, format, args...)
}

// unsupported refuses what Amazon does and Berth does not, rather than doing something else.
func unsupported(format string, args ...any) error {
	return fault.New(fault.SettingUnsupported, format+" is not supported by this version of Berth.", args...)
}

// exceptionFor is the service's table, and what its own functions refuse.
func exceptionFor(err error) (awswire.Exception, bool) {
	if r, ok := asRefusal(err); ok {
		e := r.as
		e.Message = r.message
		return e, true
	}
	f, ok := fault.Of(err)
	if !ok {
		return awswire.Exception{}, false
	}
	e, ok := exceptions()[f.Code]
	e.Message = f.Message
	return e, ok
}
