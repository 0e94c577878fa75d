// Package money is amounts of money in cents.
package money

import "fmt"

// Cents is an amount.
type Cents int64

// String gives it in dollars.
func (c Cents) String() string {
	sign := ""
	if c < 0 {
		sign, c = "-", -c
	}
	return fmt.Sprintf("%s$%d.%02d", sign, c/100, c%100)
}
