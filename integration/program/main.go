// Command program is the api and the worker as they are, with kinds and faults for the tests: what
// it does beyond cmd/api and cmd/worker is in this folder alone.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/app/apirole"
	"github.com/leat-dev/leat/app/production"
	"github.com/leat-dev/leat/app/workerrole"
	"github.com/leat-dev/leat/config"
)

func main() {
	env := app.OSEnv()
	if !isChild(env) {
		tie(env)
		env.Stdin = nil
	}
	root := &cobra.Command{Use: "program"}
	root.AddCommand(
		apirole.Command(env, open, app.SpecsWith(workKind())),
		workerrole.Command(env, open, workerrole.KindsWith(workKind())),
	)
	os.Exit(app.Main(root, env, workerrole.Children()))
}

// isChild tells a process that a worker has started, whose standard input is the worker's.
func isChild(env app.Env) bool { return len(env.Args) > 0 && env.Args[0] == app.ChildArg }

// tie ends the process with the test, unless it is in a pod, which ends by other means.
func tie(env app.Env) {
	if _, alone := env.LookupEnv("LEAT_TEST_UNTETHERED"); alone {
		return
	}
	go func() {
		tether(os.Stdin)
		os.Exit(3)
	}()
}

// tether returns when the test that started the process is gone, however that ended: the other end
// of its standard input is the test's.
func tether(stdin io.Reader) {
	_, _ = io.Copy(io.Discard, stdin) // whatever ended it, the test is gone
}

// open opens what production opens, with the fault that the test asked for.
func open(ctx context.Context, program string, opts config.Options, env app.Env) (*app.Resources, error) {
	res, err := production.Open(ctx, program, opts, env)
	if err != nil {
		return nil, err
	}
	wanted, ok := env.LookupEnv("LEAT_TEST_FAULT")
	if !ok {
		return res, nil
	}
	f, err := parseFault(wanted)
	if err != nil {
		return nil, fmt.Errorf("LEAT_TEST_FAULT: %w", err)
	}
	res.Store = &faultyStore{Store: res.Store, fault: f}
	res.Blobs = &faultyBlobs{Store: res.Blobs, fault: f}
	return res, nil
}
