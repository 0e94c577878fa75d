package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

func TestCodesMatchThroughWrapping(t *testing.T) {
	t.Parallel()
	cause := errors.New("no rows")
	err := fmt.Errorf("pushing: %w", fault.Wrap(fault.ImageNotFound, cause, "Requested image not found"))

	if !errors.Is(err, fault.ImageNotFound) {
		t.Errorf("errors.Is(%v, ImageNotFound) = false", err)
	}
	if errors.Is(err, fault.LayerNotFound) {
		t.Errorf("errors.Is(%v, LayerNotFound) = true", err)
	}
	if !errors.Is(err, cause) {
		t.Errorf("the cause is lost in %v", err)
	}
	f, ok := fault.Of(err)
	if !ok || f.Message != "Requested image not found" {
		t.Errorf("fault.Of(%v) = %v, %v", err, f, ok)
	}
	if _, ok := fault.Of(cause); ok {
		t.Error("a plain error passed for a fault")
	}
}

func TestEveryCodeIsListedOnce(t *testing.T) {
	t.Parallel()
	seen := map[fault.Code]bool{}
	for _, c := range fault.All() {
		if seen[c] {
			t.Errorf("code %q is listed twice", c)
		}
		seen[c] = true
	}
}

func TestBadParameterUsesECRsWords(t *testing.T) {
	t.Parallel()
	got := fault.BadParameter("maxResults", "Member must have value less than or equal to 1000").Error()
	want := "Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value less than or equal to 1000'"
	if got != want {
		t.Errorf("message\n got %s\nwant %s", got, want)
	}
}
