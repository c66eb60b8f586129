package app

import (
	"github.com/leat-dev/leat/dispatch"
)

// DispatchService takes part in the election of the leader that dispatches, reaps and sweeps.
// Every process of the api and worker roles runs it, once.
func (r *Resources) DispatchService() Service {
	meter := dispatch.NewMetrics(r.Registry)
	retention := dispatch.DefaultRetention()
	retention.Jobs, retention.Decisions, retention.Audit = r.Options.KeepJobs, r.Options.KeepDecisions, r.Options.KeepAudit
	retention.Transfers = r.Options.UploadExpiry
	log := r.Log.With("part", "dispatch")
	elector := dispatch.NewElector(r.Store, log, map[string]dispatch.Duty{
		"relay":   dispatch.NewRelay(r.Store, r.Queue, log, meter).Run,
		"reaper":  dispatch.NewReaper(r.Store, log, meter).Run,
		"sweeper": dispatch.NewSweeper(r.Store, r.Blobs, retention, r.Options.SweepEvery, log, meter).Run,
	})
	return Service{Name: "dispatch", Run: elector.Run}
}
