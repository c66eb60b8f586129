package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Env is what a program gets from its surroundings.
type Env struct {
	Args      []string // without the program's name
	LookupEnv func(string) (string, bool)
	Stdin     io.Reader
	Stdout    io.Writer
	Stderr    io.Writer
}

// OSEnv is the process's own.
func OSEnv() Env {
	return Env{Args: os.Args[1:], LookupEnv: os.LookupEnv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
}

// ChildArg is the first argument of a process that a worker starts to run one handler apart from
// itself; the second names the child. It is no part of the command line that people see.
const ChildArg = "__child"

// Child is work that runs in a process of its own. It speaks over its standard input and output.
type Child func(ctx context.Context, env Env) error

// ExitError makes a program end with a code of its own, quietly when Err is nil.
type ExitError struct {
	Code int
	Err  error
}

// Error gives the reason.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap gives the reason.
func (e *ExitError) Unwrap() error { return e.Err }

// Main runs a program until it is done, or told to stop by SIGINT or SIGTERM; a second signal
// kills it. It returns the exit code: 0, an ExitError's, 2 for a command line that makes no sense,
// or 1.
func Main(root *cobra.Command, env Env, children map[string]Child) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal has its default effect again

	err := run(ctx, root, env, children)
	if err == nil {
		return 0
	}
	exit := &ExitError{Code: 1, Err: err}
	errors.As(err, &exit)
	if exit.Err != nil {
		fmt.Fprintf(env.Stderr, "%s: %v\n", root.Name(), err) // all of it: of several errors one may have the code
	}
	return exit.Code
}

func run(ctx context.Context, root *cobra.Command, env Env, children map[string]Child) error {
	if len(env.Args) >= 2 && env.Args[0] == ChildArg {
		child, ok := children[env.Args[1]]
		if !ok {
			return &ExitError{Code: 2, Err: fmt.Errorf("no child is called %q", env.Args[1])}
		}
		env.Args = env.Args[2:]
		return child(ctx, env)
	}
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(misused)
	checkArgs(root)
	return root.ExecuteContext(ctx)
}

// misused is the error of a command line that makes no sense.
func misused(cmd *cobra.Command, err error) error {
	return &ExitError{Code: 2, Err: fmt.Errorf("%w\nTry '%s --help'", err, cmd.CommandPath())}
}

// checkArgs makes arguments that a command does not take a misuse. One that only has others below it
// takes none: cobra would answer a misspelt one with its help, and success.
func checkArgs(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		checkArgs(sub)
	}
	check := cmd.Args
	if !cmd.Runnable() {
		check, cmd.SuggestionsMinimumDistance = noSuchCommand, 2
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if check == nil {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return misused(cmd, err)
		}
		return nil
	}
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	near := cmd.SuggestionsFor(args[0])
	if len(near) == 0 {
		return fmt.Errorf("%q is no command of %s", args[0], cmd.CommandPath())
	}
	return fmt.Errorf("%q is no command of %s; perhaps %s?", args[0], cmd.CommandPath(), strings.Join(near, " or "))
}

// Version is the version that the program was built as: the module's, with the revision of the
// source where it is known.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	if version == "" || version == "(devel)" {
		version = "devel"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && version == "devel" {
			version += "+" + s.Value[:min(12, len(s.Value))]
		}
	}
	return version
}
