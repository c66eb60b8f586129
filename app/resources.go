package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec"
	"github.com/leat-dev/leat/queue"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/telemetry"
)

// Resources are what the services of a program share.
type Resources struct {
	Options  config.Options
	Log      *slog.Logger
	Registry *prometheus.Registry
	Store    store.Store
	Queue    *queue.Conn
	Blobs    blob.Store

	cleanups []cleanup
}

// Opener opens what the services of the named program share, or nothing. The caller closes it.
type Opener func(ctx context.Context, program string, opts config.Options, env Env) (*Resources, error)

type cleanup struct {
	what string
	do   func() error
}

// NewResources begins a program: its log, on env's standard error, and its metrics. The rest is
// for an opener to fill in.
func NewResources(program string, opts config.Options, env Env) (*Resources, error) {
	log, err := telemetry.NewLogger(env.Stderr, opts.LogFormat, opts.LogLevel)
	if err != nil {
		return nil, err
	}
	return &Resources{Options: opts, Log: log, Registry: telemetry.NewRegistry(program, Version())}, nil
}

// OnClose has do called by Close, before everything that was added earlier.
func (r *Resources) OnClose(what string, do func() error) {
	r.cleanups = append(r.cleanups, cleanup{what, do})
}

// Close gives everything back, last opened first.
func (r *Resources) Close() error {
	var errs []error
	for len(r.cleanups) > 0 {
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		if err := last.do(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", last.what, err))
		}
	}
	return errors.Join(errs...)
}

// BindBlobs makes sure that the blob store is this store's own, or nobody's yet.
func (r *Resources) BindBlobs(ctx context.Context) error {
	id, err := r.Store.Identity(ctx)
	if err != nil {
		return fmt.Errorf("read the store's identity: %w", err)
	}
	if err := r.Blobs.EnsureIdentity(ctx, id); err != nil {
		return fmt.Errorf("blob store: %w", err)
	}
	return nil
}

// Instance is the name of this process for people.
func (r *Resources) Instance() string {
	if r.Options.Instance != "" {
		return r.Options.Instance
	}
	host, err := os.Hostname()
	if err != nil {
		return "unnamed"
	}
	return host
}

// Specs are the kinds that there are: those that Leat brings and those that are declared, with what
// the configuration changes in them. Its errors are *ExitError.
func Specs(opts config.Options) (*jobs.Specs, error) { return SpecsWith()(opts) }

// SpecsWith gives the same with a program's own kinds. Of kinds that name a type alike, Auto prefers the
// program's own to those that are declared, and both to those that Leat brings.
func SpecsWith(own ...jobs.Kind) func(config.Options) (*jobs.Specs, error) {
	return func(opts config.Options) (*jobs.Specs, error) { return specs(opts, own) }
}

func specs(opts config.Options, own []jobs.Kind) (*jobs.Specs, error) {
	brought, err := spec.All()
	if err != nil {
		return nil, err
	}
	var list []jobs.Spec // in the order in which Auto prefers them
	for _, kind := range own {
		list = append(list, kind.Spec)
	}
	for _, name := range slices.Sorted(maps.Keys(opts.Commands)) {
		declared, err := opts.Commands[name].Spec()
		if err != nil {
			return nil, &ExitError{Code: 2, Err: fmt.Errorf("options: commands: %q: %w", name, err)}
		}
		list = append(list, declared)
	}
	list = append(list, brought.All()...)
	all, err := jobs.NewSpecs(spec.Inspect().Name, list...)
	if err != nil {
		return nil, &ExitError{Code: 2, Err: fmt.Errorf("options: commands: %w", err)}
	}
	checked, err := all.With(func(s *jobs.Spec) {
		if s.Name == spec.Archive().Name {
			s.Check = checkEntries(all)
		}
	})
	if err != nil {
		return nil, err
	}
	return configure(checked, opts.Kinds)
}

// checkEntries refuses what an archive's entries cannot be given to: a kind that is not there, or
// parameters that it does not take. It looks no deeper, into archives in the archive.
func checkEntries(all *jobs.Specs) func(params any) error {
	return func(params any) error {
		archive, ok := params.(*spec.ArchiveParams)
		if !ok || archive.Kind == jobs.Auto {
			return nil
		}
		kind, ok := all.Get(archive.Kind)
		if !ok {
			return &jobs.ParamError{Field: "kind", Reason: fmt.Sprintf("there is no kind %q", archive.Kind)}
		}
		_, _, err := kind.Canonical(archive.Params)
		if wrong, ok := errors.AsType[*jobs.ParamError](err); ok {
			return &jobs.ParamError{Field: strings.TrimSuffix("params."+wrong.Field, "."), Reason: wrong.Reason}
		}
		return err
	}
}

// configure changes specs. Its errors are *ExitError.
func configure(specs *jobs.Specs, changes map[string]config.Kind) (*jobs.Specs, error) {
	for name := range changes {
		if _, ok := specs.Get(name); !ok {
			return nil, &ExitError{Code: 2, Err: fmt.Errorf("options: kinds: there is no kind %q", name)}
		}
	}
	configured, err := specs.With(func(s *jobs.Spec) {
		change := changes[s.Name]
		set(&s.Timeout, change.Timeout)
		set(&s.Concurrency, change.Concurrency)
		set(&s.Retry.MaxAttempts, change.MaxAttempts)
		set(&s.Retry.Base, change.RetryBase)
		set(&s.Retry.Factor, change.RetryFactor)
		set(&s.Retry.Cap, change.RetryCap)
		if change.RetryJitter != nil {
			s.Retry.Jitter = *change.RetryJitter
		}
	})
	if err != nil {
		return nil, &ExitError{Code: 2, Err: fmt.Errorf("options: kinds: %w", err)}
	}
	return configured, nil
}

// set changes a value unless the new one is zero.
func set[T comparable](value *T, to T) {
	var zero T
	if to != zero {
		*value = to
	}
}
