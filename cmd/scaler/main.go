// Command scaler sizes the worker Deployment to the work.
package main

import (
	"os"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/app/production"
	"github.com/leat-dev/leat/app/scalerrole"
)

func main() {
	env := app.OSEnv()
	os.Exit(app.Main(scalerrole.Command(env, production.OpenForScaler), env, nil))
}
