package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/sqlite"
)

// TestPlans runs every call of the store and then looks at how SQLite goes about each statement that
// was run, on 200,000 jobs: along an index, never through a whole table that grows, never sorting
// what the head of a queue or a page of a list is taken from, and reading the heads from their index
// alone.
func TestPlans(t *testing.T) {
	if testing.Short() {
		t.Skip("left to make test-all: it fills tables with 200,000 jobs")
	}
	t.Parallel()
	if raceEnabled {
		planWithoutRaces(t)
		return
	}
	s := open(t)
	fill(t, s, 200_000)
	callEverything(t, s)
	statements := s.Statements()
	if len(statements) < 80 {
		t.Errorf("only %d statements were run", len(statements))
	}
	if worst := plan(t, s, `SELECT id FROM jobs WHERE kind = ?`); objection("", worst[0]) == "" {
		t.Errorf("no objection to %q", worst)
	}
	for _, analyzed := range []bool{false, true} {
		if analyzed { // whatever SQLite knows of the tables' contents
			if _, err := s.Writer().ExecContext(t.Context(), `ANALYZE`); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range statements {
			for _, step := range plan(t, s, text) {
				if reason := objection(text, step); reason != "" {
					t.Errorf("%s (analyzed: %v): %s\n%s", reason, analyzed, step, text)
				}
			}
		}
	}
}

// planWithoutRaces runs TestPlans in a process of its own without the race detector, under which
// SQLite takes minutes for so many jobs. It does one thing after the other, so no race is missed.
func planWithoutRaces(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-race=false", "-count=1", "-v", "-run=^TestPlans$", ".")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestPlans")) {
		t.Errorf("%v\n%s", err, out)
	}
}

var (
	scan = regexp.MustCompile(`^SCAN (\w+)`)
	// small tables, lists of arguments, and steps of a recursion.
	mayScan = regexp.MustCompile(`^SCAN (queues|workers|scalings|identity|json_each|parents|step|ready|CONSTANT ROW)\b`)
	// indexes of what there is little of at any time: runs, and parents that wait.
	bounded = regexp.MustCompile(`USING (COVERING )?INDEX (jobs_running|jobs_waiting)\b`)
	page    = regexp.MustCompile(`(?s)INDEXED BY (jobs_ready|jobs_lanes|jobs_tenant|jobs_open|jobs_file) .*LIMIT`)
)

// objection is what is wrong with a step of a statement's plan, or empty.
func objection(text, step string) string {
	switch {
	case scan.MatchString(step) && !mayScan.MatchString(step) && !bounded.MatchString(step):
		return "reads a whole table"
	case strings.Contains(step, "TEMP B-TREE FOR ORDER BY") && page.MatchString(text):
		return "sorts"
	case strings.HasPrefix(text, "SELECT") && (strings.Contains(step, "USING INDEX jobs_ready") || strings.Contains(step, "USING INDEX jobs_lanes")):
		return "reads the jobs besides an index of those that are ready"
	case strings.Contains(step, "AUTOMATIC"):
		return "makes an index of its own"
	}
	return ""
}

func plan(t *testing.T, s *sqlite.Store, text string) (steps []string) {
	t.Helper()
	if first := strings.Fields(text)[0]; first == "SAVEPOINT" || first == "RELEASE" || first == "ROLLBACK" {
		return nil
	}
	rows, err := s.Writer().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, make([]any, strings.Count(text, "?"))...)
	if err != nil {
		t.Errorf("%v\n%s", err, text)
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// fill makes n jobs in one go, on one file in a hundred: nine of ten succeeded, the others pending or
// failed.
func fill(t *testing.T, s *sqlite.Store, n int) {
	t.Helper()
	const numbers = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) `
	const id = `unhex(printf('%012x7000%016x', i, i))`
	for _, step := range []struct {
		n    int
		text string
	}{
		{2, `INSERT INTO queues (name) SELECT iif(i = 1, 'default', 'other') FROM n`},
		{n / 100, `
			INSERT INTO files (id, tenant, name, size, sha256, media_type, claimed_type, content, created_at)
			SELECT ` + id + `, 'default', 'f', 0, zeroblob(32), 't', '', zeroblob(0), i FROM n`},
		{n, `
			INSERT INTO jobs (id, tenant, file_id, kind, kind_version, queue, params_hash, max_attempts, run_at,
				created_at, events, state, finished_at, error_code)
			SELECT ` + id + `, 'default', unhex(printf('%012x7000%016x', 1 + i % (?1 / 100), 1 + i % (?1 / 100))), 'inspect', 1,
				iif(i % 3, 'default', 'other'), zeroblob(32), 5, i, i, 1,
				iif(i % 10, 'succeeded', iif(i % 20, 'pending', 'failed')), iif(i % 20 = 10, NULL, i), iif(i % 20, NULL, 'panic')
			FROM n`},
		{n / 10, `INSERT INTO blobs (key, created_at) SELECT ` + id + `, i FROM n`},
		{n, `
			INSERT INTO transfers (id, tenant, blob_key, metadata, digests, partial, length, "offset", job_id, created_at, touched_at)
			SELECT ` + id + `, 'default', iif(i <= ?1 / 10, ` + id + `, NULL), '', '', 0, 100, iif(i <= ?1 / 10, 50, 100),
				iif(i <= ?1 / 10, NULL, ` + id + `), i, i
			FROM n`},
		{2, `INSERT INTO scalings (target) SELECT iif(i = 1, 't', 'u') FROM n`},
		{n / 10, `
			INSERT INTO scaling_decisions (id, target, at, until, current, replicas, bound, outcome, same)
			SELECT ` + id + `, iif(i % 2, 't', 'u'), i, i, 1, 1, '', 'unchanged', '' FROM n`},
		{1000, `INSERT INTO replica_hours (target, hour, hours) SELECT iif(i % 2, 't', 'u'), i * 3600000000, 1 FROM n`},
		{n / 10, `INSERT INTO rollups (bucket, queue, arrived) SELECT i * 10000000, iif(i % 2, 'default', 'other'), 1 FROM n`},
		{n / 100, `
			INSERT INTO events (job_id, seq, tenant, type, at) SELECT ` + id + `, 1, 'default', 'accepted', i FROM n`},
	} {
		if _, err := s.Writer().ExecContext(t.Context(), numbers+step.text, step.n); err != nil {
			t.Fatal(err)
		}
	}
}

// callEverything makes every call that the store has, so that each of its statements is run.
func callEverything(t *testing.T, s *sqlite.Store) {
	t.Helper()
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tenant := jobs.DefaultTenant
	worker := register(t, s)
	lease, _, err := s.Acquire(ctx, "leader", uuid.New(), time.Hour)
	ok(err)

	// A parent with an artifact and two children, one of which is cancelled with it.
	inBlob := upload("")
	inBlob.File.Content, inBlob.File.BlobKey, inBlob.File.StoredAt = nil, uuid.New(), time.Now()
	parent := claim(t, s, worker, accept(t, s, inBlob))
	artifact := store.NewArtifact{Artifact: jobs.Artifact{Name: "a"}, BlobKey: uuid.New(), StoredAt: time.Now()}
	ok(s.HoldBlob(ctx, parent.JobID, parent.Claim, artifact.BlobKey))
	_, err = s.Progress(ctx, []store.RunProgress{{JobID: parent.JobID, Claim: parent.Claim, Progress: 0.5}})
	ok(err)
	children := []store.Upload{upload("1"), upload("2")}
	whole := store.RunEnd{
		JobID: parent.JobID, Claim: parent.Claim, Outcome: jobs.RunSucceeded,
		Artifacts: []store.NewArtifact{artifact}, Children: children,
	}
	for range 2 {
		_, err = s.End(ctx, whole)
		ok(err)
	}
	end(t, s, claim(t, s, worker, children[0].Job.ID), jobs.RunRetry)
	_, err = s.Cancel(ctx, tenant, parent.JobID)
	ok(err)
	_, err = s.Retry(ctx, tenant, parent.JobID)
	ok(err)
	again := claim(t, s, worker, parent.JobID)
	last := upload("3")
	_, err = s.End(ctx, store.RunEnd{JobID: again.JobID, Claim: again.Claim, Outcome: jobs.RunSucceeded, Children: []store.Upload{last}})
	ok(err)
	end(t, s, claim(t, s, worker, last.Job.ID), jobs.RunSucceeded)

	// A result that is taken over.
	same := upload("same")
	same.Job.Reusable = true
	end(t, s, claim(t, s, worker, accept(t, s, same)), jobs.RunSucceeded)
	same.File.ID, same.Job.ID = jobs.NewID(), jobs.NewID()
	if given := load(t, s, accept(t, s, same)); given.ResultOf == uuid.Nil {
		t.Fatal("no result was taken over")
	}

	// A group of which one call fails, and its replay.
	broken := upload("broken")
	broken.File.Size++
	if errs := s.AcceptTogether(ctx, []store.Upload{upload("fine")}, []store.Upload{broken}); errs[0] != nil || errs[1] == nil {
		t.Fatalf("group: %v", errs)
	}

	callDispatch(t, s, lease, worker)
	callReaders(t, s, parent.JobID)
	callTransfers(t, s)
	callScaling(t, s)
	callBulk(t, s, lease)
}

// callDispatch calls what dispatch, the fleet and the reaper do.
func callDispatch(t *testing.T, s *sqlite.Store, lease store.Lease, worker uuid.UUID) {
	t.Helper()
	ctx := t.Context()
	running := claim(t, s, worker, accept(t, s, upload("4")))
	pending, returned := accept(t, s, upload("5")), accept(t, s, upload("6"))
	for name, call := range map[string]func() error{
		"lanes": func() error { _, err := s.Lanes(ctx, map[string]jobs.Tenant{"other": "a"}, 10); return err },
		"heads": func() error {
			_, err := s.Heads(ctx, map[store.Lane]int{{Queue: "other", Tenant: jobs.DefaultTenant}: 5})
			return err
		},
		"costs":       func() error { _, err := s.Costs(ctx, 100); return err },
		"set tenant":  func() error { _, err := s.SetTenant(ctx, store.DefaultTenantSettings("a"), store.Actor{}); return err },
		"tenant":      func() error { _, err := s.TenantSettings(ctx, "a"); return err },
		"all tenants": func() error { _, err := s.Tenants(ctx, "", 10); return err },
		"redeliver": func() error {
			_, err := s.Redeliver(ctx, lease, []store.Delivery{{JobID: pending, Generation: 1}})
			return err
		},
		"publish":   func() error { return s.PublishRoom(ctx, lease, map[string]int{"default": 5}) },
		"room":      func() error { _, err := s.Room(ctx, lease.Name); return err },
		"hand back": func() error { return s.HandBack(ctx, returned, 1, time.Second) },
		"beat":      func() error { _, err := s.Beat(ctx, store.WorkerStatus{ID: worker}); return err },
		"cordon":    func() error { return s.Cordon(ctx, worker, 0) },
		"workers":   func() error { _, err := s.Workers(ctx); return err },
		"running":   func() error { _, err := s.Running(ctx, uuid.Nil, 10); return err },
		"settle":    func() error { _, err := s.SettleParents(ctx, lease, 10); return err },
		"ping":      func() error { return s.Ping(ctx) },
	} {
		if err := call(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if _, err := s.ReapRuns(ctx, lease, []store.RunRef{running}); err != nil {
		t.Fatal(err)
	}
	claim(t, s, worker, accept(t, s, upload("7")))
	workers, err := s.Workers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReapWorkers(ctx, lease, map[uuid.UUID]int64{worker: workers[0].Beats}); err != nil {
		t.Fatal(err)
	}
	if err := s.Leave(ctx, worker); err != nil {
		t.Fatal(err)
	}
}

// callReaders calls what the API reads, lists with every filter.
func callReaders(t *testing.T, s *sqlite.Store, id uuid.UUID) {
	t.Helper()
	ctx, tenant := t.Context(), jobs.DefaultTenant
	job := load(t, s, id)
	for name, call := range map[string]func() error{
		"attempts": func() error { _, err := s.Attempts(ctx, tenant, id); return err },
		"events":   func() error { _, err := s.Events(ctx, tenant, id, 0, 10); return err },
		"file":     func() error { _, _, err := s.File(ctx, tenant, job.FileID); return err },
		"ready":    func() error { _, err := s.Ready(ctx, tenant); return err },
		"pressure": func() error { _, err := s.Pressure(ctx); return err },
		"marks":    func() error { _, err := s.Marks(ctx, tenant, []uuid.UUID{id}); return err },
		"place":    func() error { _, err := s.Place(ctx, tenant, accept(t, s, upload("place"))); return err },
		"told":     func() error { _, _, err := s.TenantEvents(ctx, tenant, "0", 10); return err },
		"queues":   func() error { _, err := s.Queues(ctx, tenant); return err },
		"all":      func() error { _, err := s.AllQueues(ctx); return err },
		"pause":    func() error { return s.PauseQueue(ctx, tenant, "other") },
		"resume":   func() error { return s.ResumeQueue(ctx, tenant, "other") },
		"feed":     func() error { _, _, err := s.EventsAfter(ctx, "", 10); return err },
		"artifact": func() error { _, _, _ = s.Artifact(ctx, tenant, id, "a"); return nil }, // its statement is what counts
	} {
		if err := call(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, filter := range filters(job) {
		if _, _, err := s.ListJobs(ctx, tenant, filter, store.Page{Limit: 10}); err != nil {
			t.Fatal(err)
		}
		after := store.Cursor{ID: id}
		if _, _, err := s.ListJobs(ctx, tenant, filter, store.Page{Limit: 10, After: after}); err != nil {
			t.Fatal(err)
		}
	}
}

// callTransfers has an upload come in several requests.
func callTransfers(t *testing.T, s *sqlite.Store) {
	t.Helper()
	ctx, tenant := t.Context(), jobs.DefaultTenant
	one := store.Transfer{ID: jobs.NewID(), BlobKey: uuid.New(), TransferProgress: store.TransferProgress{Length: 4}}
	inline := upload("four")
	inline.File.ID = one.ID
	answer := &store.OnceAnswer{Once: store.Once{Key: "k"}, Answer: store.Answer{Status: 202}}
	for _, call := range []func() error{
		func() error { _, err := s.BeginTransfer(ctx, tenant, one); return err },
		func() error { _, err := s.Transfer(ctx, tenant, one.ID); return err },
		func() error { _, _, err := s.ClaimTransfer(ctx, tenant, one.ID, 0); return err },
		func() error { _, _, err := s.ClaimTransfer(ctx, tenant, one.ID, 1); return err }, // where it does not stand
		func() error {
			_, err := s.AdvanceTransfer(ctx, tenant, one.ID, 2, store.TransferProgress{Length: 4, Offset: 2})
			return err
		},
		func() error { _, err := s.FinishTransfer(ctx, tenant, one.ID, 2, inline, answer); return err },
		func() error { _, err := s.DropTransfer(ctx, tenant, one.ID); return err },
		func() error { _, _, err := s.PruneTransfers(ctx, time.Hour, 10); return err },
	} {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
}

// filters are all combinations of the fields of a filter.
func filters(job *jobs.Job) []store.JobFilter {
	all := []store.JobFilter{{}}
	for _, add := range []func(*store.JobFilter){
		func(f *store.JobFilter) { f.Kind = job.Kind },
		func(f *store.JobFilter) { f.Queue = job.Queue },
		func(f *store.JobFilter) { f.FileID = job.FileID },
		func(f *store.JobFilter) { f.ParentID = job.ID },
	} {
		for _, f := range all {
			add(&f)
			all = append(all, f)
		}
	}
	for _, f := range all {
		for _, state := range []jobs.State{jobs.Succeeded, jobs.Failed} {
			f.State = state
			all = append(all, f)
		}
	}
	return all
}

// callBulk calls what changes or deletes many jobs.
func callBulk(t *testing.T, s *sqlite.Store, lease store.Lease) {
	t.Helper()
	ctx, tenant := t.Context(), jobs.DefaultTenant
	for name, call := range map[string]func() error{
		"cancel":   func() error { _, err := s.CancelJobs(ctx, tenant, store.JobFilter{}, 10); return err },
		"retry":    func() error { _, err := s.RetryJobs(ctx, tenant, store.JobFilter{}, 10); return err },
		"rollups":  func() error { _, err := s.PruneRollups(ctx, -time.Minute, 10); return err },
		"holds":    func() error { _, err := s.DropHolds(ctx, -time.Minute, 10); return err },
		"unowned":  func() error { _, err := s.Unowned(ctx, []uuid.UUID{uuid.New()}); return err },
		"identity": func() error { _, err := s.Identity(context.WithoutCancel(ctx)); return err },
	} {
		if err := call(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if n, _, err := s.PruneJobs(ctx, 0, 10); n != 10 || err != nil {
		t.Fatalf("pruned %d, %v", n, err)
	}
	if err := s.Release(ctx, lease); err != nil {
		t.Fatal(err)
	}
	if err := s.PublishRoom(ctx, lease, nil); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("with a lease that was released: %v", err)
	}
}
