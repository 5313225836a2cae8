// Command sesame is the login server and its tools: sesame serve, mock, user, client, keys, migrate,
// config, healthcheck. Run it with --help to see them.
package main

import (
	"os"

	"sesame/server/internal/cli"
)

func main() { os.Exit(cli.Main()) }
