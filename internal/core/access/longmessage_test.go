package access_test

import (
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestLongMessagesCanBeDecoded has a refusal with much to say that packs well: what is handed out can be read again.
func TestLongMessagesCanBeDecoded(t *testing.T) {
	t.Parallel()
	h := newSTSHouse(t, metadbtest.New(t))
	r := policy.Refusal{Principal: "arn:aws:iam::000000000042:user/eve", Action: policy.PutImage, Resource: policy.AnyResource}
	for range 2000 {
		r.Explanation = append(r.Explanation, strings.Repeat("Statement 1 would allow it. ", 4))
	}
	text := h.Encode(t.Context(), r)
	if text == "" {
		t.Fatal("Encode left all of it out")
	}
	document, err := h.DecodeAuthorizationMessage(t.Context(), h.root, text)
	if err != nil || !strings.Contains(document, "user/eve") {
		t.Errorf("DecodeAuthorizationMessage: %.200s, %v", document, err)
	}
}
