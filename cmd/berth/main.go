// Command berth is the registry and its pipeline in one program.
package main

import (
	"os"

	"github.com/hoopstat-haus/berth/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
