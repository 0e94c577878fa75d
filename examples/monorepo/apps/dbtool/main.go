// Command dbtool prints what the fixtures of a database are worth. It runs on the machines of developers alone.
package main

import (
	"fmt"

	"example.com/monorepo/money"
)

var fixtures = []money.Cents{199, 2500, 1}

func worth() (sum money.Cents) {
	for _, c := range fixtures {
		sum += c
	}
	return sum
}

func main() { fmt.Println(worth()) }
