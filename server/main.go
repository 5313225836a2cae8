// Command sesame is the login server and its tools. sesame help lists the commands, and sesame help settings the settings.
package main

import (
	"os"

	"sesame/server/internal/cli"
)

func main() { os.Exit(cli.Main()) }
