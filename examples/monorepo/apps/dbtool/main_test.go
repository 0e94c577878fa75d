package main

import "testing"

func TestWorth(t *testing.T) {
	if got := worth().String(); got != "$27.00" {
		t.Errorf("the fixtures are worth %s", got)
	}
}
