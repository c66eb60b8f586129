// Command worker takes jobs and runs their handlers.
package main

import (
	"os"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/app/production"
	"github.com/leat-dev/leat/app/workerrole"
)

func main() {
	env := app.OSEnv()
	os.Exit(app.Main(workerrole.Command(env, production.Open, workerrole.Kinds), env, workerrole.Children()))
}
