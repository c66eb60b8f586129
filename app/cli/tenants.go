package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// tenantsCommand shows and sets the tenants' shares and limits.
func tenantsCommand(env app.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "tenants", Short: "Show and set the shares and limits of tenants",
		Long: "Show and set the shares and limits of tenants, in the database: that of --database-url, or of leat up in\n" +
			"the folder of --data. A tenant for which nothing is set has the weight 1 and the server's limits.",
	}
	l := ledgerCommand(env, cmd)
	cmd.AddCommand(l.listTenantsCommand(), l.showTenantCommand(), l.setTenantCommand())
	return cmd
}

func (l *ledger) listTenantsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the tenants for which something is set", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.with(cmd.Context(), func(s store.Store) error {
				all, err := allTenants(cmd.Context(), s)
				if err != nil {
					return err
				}
				return l.showTenants(all)
			})
		},
	}
}

func allTenants(ctx context.Context, s store.Tenants) (all []store.TenantSettings, err error) {
	for after := jobs.Tenant(""); ; after = all[len(all)-1].Tenant {
		list, err := s.Tenants(ctx, after, store.MaxLimit)
		all = append(all, list...)
		if err != nil || len(list) < store.MaxLimit {
			return all, err
		}
	}
}

func (l *ledger) showTenantCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show TENANT", Short: "Show what holds for a tenant", Args: oneArg("a tenant's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.with(cmd.Context(), func(s store.Store) error {
				settings, err := s.TenantSettings(cmd.Context(), jobs.Tenant(args[0]))
				if err != nil {
					return err
				}
				return l.showTenants([]store.TenantSettings{settings})
			})
		},
	}
}

func (l *ledger) setTenantCommand() *cobra.Command {
	var given store.TenantSettings
	cmd := &cobra.Command{
		Use: "set TENANT", Short: "Set a tenant's share and limits; what is not given stays as it is", Args: oneArg("a tenant's name"),
		Long: "Set a tenant's share and limits; what is not given stays as it is, and a limit of 0 is the server's default.\n" +
			"Where several tenants have jobs waiting in a queue, one of weight 3 gets three times as much of the workers'\n" +
			"time as one of weight 1.",
		Example: "  leat tenants set acme --weight 3 --jobs-waiting 100000",
	}
	flags := cmd.Flags()
	flags.IntVar(&given.Weight, "weight", 1, "its share of the workers, beside the others'")
	flags.Float64Var(&given.RequestsPerSecond, "requests-per-second", 0, "how many requests it may make")
	flags.IntVar(&given.Burst, "burst", 0, "how many requests may come at once")
	flags.Var((*config.Size)(&given.BytesPerDay), "bytes-per-day", "how much it may upload, as 20GiB")
	flags.IntVar(&given.JobsWaiting, "jobs-waiting", 0, "how many of its jobs may wait")
	flags.Var((*config.Size)(&given.FileBytes), "file-bytes", "how large its files may be, as 100MiB")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		given.Tenant = jobs.Tenant(args[0])
		if err := given.Check(); err != nil {
			return usage("%w", err)
		}
		return l.with(cmd.Context(), func(s store.Store) error {
			settings, err := s.TenantSettings(cmd.Context(), given.Tenant)
			if err != nil {
				return err
			}
			change(&settings, &given, flags)
			if settings, err = s.SetTenant(cmd.Context(), settings, store.Actor{Name: store.ActorOperator}); err != nil {
				return err
			}
			return l.showTenants([]store.TenantSettings{settings})
		})
	}
	return cmd
}

// change takes over those settings whose flags were given.
func change(settings, given *store.TenantSettings, flags *pflag.FlagSet) {
	for name, take := range map[string]func(){
		"weight":              func() { settings.Weight = given.Weight },
		"requests-per-second": func() { settings.RequestsPerSecond = given.RequestsPerSecond },
		"burst":               func() { settings.Burst = given.Burst },
		"bytes-per-day":       func() { settings.BytesPerDay = given.BytesPerDay },
		"jobs-waiting":        func() { settings.JobsWaiting = given.JobsWaiting },
		"file-bytes":          func() { settings.FileBytes = given.FileBytes },
	} {
		if flags.Changed(name) {
			take()
		}
	}
}

func (l *ledger) showTenants(list []store.TenantSettings) error {
	if l.json {
		for _, t := range list {
			if err := l.print(shownTenant(t)); err != nil {
				return err
			}
		}
		return nil
	}
	return table(l.env.Stdout, func(line func(...any)) {
		line("TENANT", "WEIGHT", "REQUESTS/S", "BURST", "BYTES/DAY", "JOBS WAITING", "FILE BYTES", "SET")
		for _, t := range list {
			line(t.Tenant, t.Weight, limit(t.RequestsPerSecond), limit(t.Burst), limit(config.Size(t.BytesPerDay)), limit(t.JobsWaiting),
				limit(config.Size(t.FileBytes)), day(t.UpdatedAt))
		}
	})
}

// limit shows a limit, none for the server's.
func limit[N int | float64 | config.Size](n N) any {
	if n == 0 {
		return "-"
	}
	return n
}

// shownTenant is a tenant's settings in JSON.
type shownTenant struct {
	Tenant            jobs.Tenant `json:"tenant"`
	Weight            int         `json:"weight"`
	RequestsPerSecond float64     `json:"requests_per_second,omitempty"`
	Burst             int         `json:"burst,omitempty"`
	BytesPerDay       int64       `json:"bytes_per_day,omitempty"`
	JobsWaiting       int         `json:"jobs_waiting,omitempty"`
	FileBytes         int64       `json:"file_bytes,omitempty"`
	UpdatedAt         time.Time   `json:"updated_at,omitzero"`
}
