// Command api takes in files over HTTP and commits a job for each.
package main

import (
	"os"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/app/apirole"
	"github.com/leat-dev/leat/app/production"
)

func main() {
	env := app.OSEnv()
	os.Exit(app.Main(apirole.Command(env, production.Open, app.Specs), env, nil))
}
