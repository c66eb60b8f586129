// Command leat is everything in one process for a laptop (leat up), and the operator's command
// line.
package main

import (
	"os"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/app/cli"
	"github.com/leat-dev/leat/app/workerrole"
)

func main() {
	env := app.OSEnv()
	os.Exit(app.Main(cli.Command(env), env, workerrole.Children()))
}
