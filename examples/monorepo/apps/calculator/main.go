// Command calculator adds amounts in cents.
package main

import (
	"fmt"
	"os"
	"strconv"

	"example.com/monorepo/money"
)

func main() {
	total, err := add(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "calculator:", err)
		os.Exit(1)
	}
	fmt.Println(total)
}

func add(amounts []string) (money.Cents, error) {
	var total money.Cents
	for _, amount := range amounts {
		cents, err := strconv.ParseInt(amount, 10, 64)
		if err != nil {
			return 0, err
		}
		total += money.Cents(cents)
	}
	return total, nil
}
