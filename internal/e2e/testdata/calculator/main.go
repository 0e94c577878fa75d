// Command calculator is the guide's example application: it adds the numbers it is given.
package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	var sum float64
	for _, arg := range os.Args[1:] {
		n, err := strconv.ParseFloat(arg, 64)
		if err != nil {
			fmt.Fprintln(os.Stderr, "calculator:", err)
			os.Exit(2)
		}
		sum += n
	}
	fmt.Println(sum)
}
