package sts_test

import (
	"net/http"
	"testing"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/sts"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// TestWebIdentityFaults holds the errors of AssumeRoleWithWebIdentity to the names and statuses of STS's service model:
// SDKs try again for IDPCommunicationError alone.
func TestWebIdentityFaults(t *testing.T) {
	t.Parallel()
	for code, want := range map[fault.Code]awswire.Exception{
		fault.IdentityTokenInvalid:        {Code: "InvalidIdentityToken", Status: http.StatusBadRequest, Message: "words"},
		fault.IdentityTokenExpired:        {Code: "ExpiredTokenException", Status: http.StatusBadRequest, Message: "words"},
		fault.IdentityTokenRejected:       {Code: "IDPRejectedClaim", Status: http.StatusForbidden, Message: "words"},
		fault.IdentityProviderUnavailable: {Code: "IDPCommunicationError", Status: http.StatusBadRequest, Message: "words"},
	} {
		got, ok := sts.New(nil).Exceptions(fault.New(code, "words"))
		if !ok || got.Code != want.Code || got.Status != want.Status || got.Message != want.Message {
			t.Errorf("%q becomes %+v, want %+v", code, got, want)
		}
	}
}
