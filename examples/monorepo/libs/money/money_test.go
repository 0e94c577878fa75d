package money_test

import (
	"testing"

	"example.com/monorepo/money"
)

func TestString(t *testing.T) {
	for cents, want := range map[money.Cents]string{0: "$0.00", 5: "$0.05", 1234: "$12.34", -150: "-$1.50"} {
		if got := cents.String(); got != want {
			t.Errorf("%d cents are %s, want %s", int64(cents), got, want)
		}
	}
}
