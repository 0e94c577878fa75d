package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// storeError puts the sentinel that fits on an error of the client. By then the client has tried often
// enough.
func storeError(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	switch code(err) {
	case "NoSuchKey", "NotFound":
		return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	case "NoSuchUpload", "InvalidPart", "InvalidPartOrder", "EntityTooSmall":
		return fmt.Errorf("%w: %w", blob.ErrLost, err)
	case "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "StorageFull":
		return fmt.Errorf("%w: %w", blob.ErrFull, err)
	case "SlowDown", "RequestTimeout", "ServiceUnavailable", "InternalError":
		return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
	}
	switch st := status(err); {
	case st == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w", blob.ErrFull, err)
	case st == http.StatusNotImplemented:
		return err
	case st >= http.StatusInternalServerError, st == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
	case st == 0 && isNetwork(err):
		return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
	}
	return err
}

// isNetwork tells whether there was no whole answer.
func isNetwork(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return true
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}

// status is the HTTP status that the store answered with, 0 if it did not.
func status(err error) int {
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return e.HTTPStatusCode()
	}
	return 0
}

// code is the S3 error's name, empty if it is none.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}
