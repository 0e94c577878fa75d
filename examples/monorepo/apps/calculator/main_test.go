package main

import "testing"

func TestAdd(t *testing.T) {
	total, err := add([]string{"150", "-25"})
	if err != nil || total.String() != "$1.25" {
		t.Errorf("150 and -25 make %s, %v", total, err)
	}
	if _, err := add([]string{"x"}); err == nil {
		t.Error("x is an amount")
	}
}
