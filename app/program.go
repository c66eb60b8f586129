package app

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/config"
)

// Program is one that runs until it is told to stop.
type Program struct {
	Name, Short, Long string
	Groups            []string       // of options
	Defaults          config.Options // config.Default(), or what differs from it

	// Services begins what runs in it. They are stopped from the last to the first.
	Services func(ctx context.Context, res *Resources) ([]Service, error)
}

// Command is the program with what open gives it. Beside its own services it serves the admin port.
func (p Program) Command(env Env, open Opener) *cobra.Command {
	cmd := &cobra.Command{Use: p.Name, Short: p.Short, Long: p.Long, Args: cobra.NoArgs}
	loader := config.Bind(cmd.Flags(), p.Defaults, p.Groups...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		opts, err := loader.Load(env.LookupEnv)
		if err != nil {
			return &ExitError{Code: 2, Err: err}
		}
		ctx := cmd.Context()
		res, err := open(ctx, p.Name, opts, env)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, res.Close()) }()
		admin, err := res.AdminService(ctx)
		if err != nil {
			return err
		}
		services, err := p.Services(ctx, res)
		if err != nil {
			return err
		}
		return Serve(ctx, res.Log, append(admin, services...))
	}
	return cmd
}
