package postgres

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// big are the tables that grow with what was ever done. Nothing that is asked for often may read
// one of them from end to end.
var big = map[string]bool{
	"jobs": true, "files": true, "events": true, "attempts": true, "artifacts": true, "blobs": true, "rollups": true,
	"scaling_decisions": true, "replica_hours": true, "transfers": true,
}

// filling makes a store in the middle of its life: 200,000 jobs, most of them done.
const filling = `
INSERT INTO queues (name) VALUES ('default'), ('low'), ('critical') ON CONFLICT DO NOTHING;
INSERT INTO workers (id, label, version, slots, free, queues, kinds, runs, cordoned, draining)
	SELECT ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, 'pod-' || n, 'v1', 40, 0, '{default}', '{inspect}', '{}', false, false
	FROM generate_series(0, 49) n;
INSERT INTO blobs (key, held_job, held_claim)
	SELECT md5('blob' || n)::uuid, CASE WHEN n % 1000 = 0 THEN gen_random_uuid() END, CASE WHEN n % 1000 = 0 THEN gen_random_uuid() END
	FROM generate_series(1, 20000) n;
INSERT INTO blobs (key) SELECT md5('moving' || n)::uuid FROM generate_series(1, 20000) n;
INSERT INTO transfers (id, tenant, blob_key, metadata, digests, partial, length, "offset", job_id, touched_at)
	SELECT md5('transfer' || n)::uuid, 'default', CASE WHEN n % 10 = 0 THEN md5('moving' || n / 10)::uuid END, '', '', false, 100,
		CASE WHEN n % 10 = 0 THEN 50 ELSE 100 END, CASE WHEN n % 10 <> 0 THEN md5('job' || n)::uuid END, now() - (200000 - n) * interval '1 second'
	FROM generate_series(1, 200000) n;
INSERT INTO files (id, tenant, name, size, sha256, media_type, claimed_type, content, blob_key)
	SELECT md5('file' || n)::uuid, 'default', 'photo.jpg', 4, decode(md5(n::text) || md5(n::text), 'hex'), 'image/jpeg', '',
		CASE WHEN n % 10 <> 0 THEN 'four'::bytea END, CASE WHEN n % 10 = 0 THEN md5('blob' || n / 10)::uuid END
	FROM generate_series(1, 200000) n;
INSERT INTO jobs (id, tenant, file_id, parent_id, kind, kind_version, queue, params_hash, state, max_attempts, failures, events,
		run_at, created_at, started_at, finished_at, worker_id, worker_label, claim, error_code, error_message, reuse_key)
	SELECT md5('job' || n)::uuid, 'default', md5('file' || n)::uuid,
		CASE WHEN n % 20 = 7 THEN md5('job' || (n / 200) * 200 + 3)::uuid END,
		CASE WHEN n % 7 = 0 THEN 'table' ELSE 'inspect' END, 1, (ARRAY['default', 'low', 'critical'])[1 + n % 3], decode(md5(n::text) || md5(n::text), 'hex'), state, 5,
		CASE WHEN state = 'retrying' THEN 1 ELSE 0 END, 3, now() - (200000 - n) * interval '1 second', now() - (200000 - n) * interval '1 second',
		now() - (200000 - n) * interval '1 second', CASE WHEN state IN ('succeeded', 'failed', 'cancelled') THEN now() - (200000 - n) * interval '1 second' END,
		CASE WHEN state = 'running' THEN ('00000000-0000-0000-0001-' || lpad((n % 50)::text, 12, '0'))::uuid END,
		CASE WHEN state = 'running' THEN 'pod' END, CASE WHEN state = 'running' THEN md5('claim' || n)::uuid END,
		CASE WHEN state = 'failed' THEN 'malformed' END, CASE WHEN state = 'failed' THEN 'truncated' END,
		CASE WHEN n % 10 = 0 THEN decode(md5((n % 100)::text) || md5((n % 100)::text), 'hex') END
	FROM (
		SELECT n, CASE WHEN n % 200 = 3 THEN 'waiting' WHEN n % 100 = 1 THEN 'running' WHEN n % 20 = 2 THEN 'failed'
			WHEN n % 100 = 4 THEN 'cancelled' WHEN n % 100 = 5 THEN 'retrying' WHEN n % 10 = 7 THEN 'pending' ELSE 'succeeded' END AS state
		FROM generate_series(1, 200000) n
	) n;
INSERT INTO jobs (id, tenant, file_id, kind, kind_version, queue, params_hash, state, max_attempts, run_at)
	SELECT md5('tenant job' || n)::uuid, chr(97 + n % 25), md5('file' || n)::uuid, 'inspect', 1, 'default', decode(md5(n::text) || md5(n::text), 'hex'), 'pending', 5,
		now() - n * interval '1 second' FROM generate_series(1, 10000) n;
INSERT INTO events (job_id, seq, tenant, type) SELECT md5('job' || n)::uuid, 1, 'default', 'accepted' FROM generate_series(1, 200000) n;
INSERT INTO attempts (job_id, run, claim, worker_id, worker_label, started_at, outcome)
	SELECT md5('job' || n)::uuid, 1, md5('old' || n)::uuid, gen_random_uuid(), 'pod', now(), 'succeeded' FROM generate_series(1, 200000) n WHERE n % 20 = 8;
INSERT INTO artifacts (job_id, name, media_type, size, sha256, content)
	SELECT md5('job' || n * 10)::uuid, 'thumb.jpg', 'image/jpeg', 4, decode(md5(n::text) || md5(n::text), 'hex'), 'four' FROM generate_series(1, 20000) n;
INSERT INTO rollups (queue, bucket, writer, arrived)
	SELECT 'default', date_bin('10 seconds', now() - n * interval '10 seconds', 'epoch'::timestamptz), w, 1
	FROM generate_series(1, 5000) n, generate_series(1, 4) w;
INSERT INTO scalings (target) VALUES ('a'), ('b') ON CONFLICT DO NOTHING;
INSERT INTO scaling_decisions (id, target, at, until, current, replicas, bound, outcome, same, detail)
	SELECT (lpad(to_hex(((extract(epoch FROM now()) - n * 10) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 19))::uuid,
		(ARRAY['a', 'b'])[1 + n % 2], now(), now(), 1, 2, 'depth', 'applied', '', '{}' FROM generate_series(1, 50000) n;
INSERT INTO replica_hours (target, hour, hours)
	SELECT t, date_trunc('hour', now(), 'UTC') - n * interval '1 hour', 3 FROM generate_series(1, 1488) n, unnest('{a,b}'::text[]) t;
`

// plan is what auto_explain tells of one statement.
type plan struct {
	Text string `json:"Query Text"`
	Plan node
}

type node struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Hit      int    `json:"Shared Hit Blocks"`
	Read     int    `json:"Shared Read Blocks"`
	Plans    []node
}

// scans lists the big tables that are read from end to end.
func (n *node) scans() []string {
	var all []string
	if n.Type == "Seq Scan" && big[n.Relation] {
		all = append(all, n.Relation)
	}
	for i := range n.Plans {
		all = append(all, n.Plans[i].scans()...)
	}
	return all
}

// watched is a store whose server tells how it did what it was asked for.
type watched struct {
	*Store
	tb    testing.TB
	mu    sync.Mutex
	plans []plan
}

func watch(tb testing.TB, options Options, params map[string]string) *watched {
	tb.Helper()
	if err := options.complete(); err != nil {
		tb.Fatal(err)
	}
	config, err := options.poolConfig()
	if err != nil {
		tb.Fatal(err)
	}
	w := &watched{tb: tb}
	maps.Copy(config.ConnConfig.RuntimeParams, map[string]string{
		"session_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "0", "auto_explain.log_level": "notice",
		"auto_explain.log_format": "json", "auto_explain.log_analyze": "on", "auto_explain.log_buffers": "on", "auto_explain.log_timing": "off",
		"auto_explain.log_nested_statements": "on", // those by which foreign keys are checked
	})
	maps.Copy(config.ConnConfig.RuntimeParams, params)
	config.ConnConfig.OnNotice = w.notice
	pool, err := pgxpool.NewWithConfig(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	w.Store = &Store{pool: pool, timeout: time.Minute, log: options.Logger}
	w.start()
	tb.Cleanup(func() {
		if err := w.Close(); err != nil {
			tb.Error(err)
		}
	})
	return w
}

func (w *watched) notice(_ *pgconn.PgConn, n *pgconn.Notice) {
	_, text, isPlan := strings.Cut(n.Message, "plan:\n")
	if !isPlan {
		return
	}
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		w.tb.Errorf("plan %q: %v", text, err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plans = append(w.plans, p)
}

// taken returns the plans since the last call.
func (w *watched) taken() []plan {
	w.mu.Lock()
	defer w.mu.Unlock()
	plans := w.plans
	w.plans = nil
	return plans
}

// call is something that is asked for, and the most blocks of memory or disk that one of its
// statements may look at. A look at each job takes far more than 10,000.
type call struct {
	name  string
	most  int
	serve func(context.Context) error
	// forPeople is asked for so seldom that it may take longer until the server knows its tables.
	forPeople bool
}

// calls are what the store is asked for, on the jobs of filling. round tells apart those that can
// be asked for once only.
func (w *watched) calls(round int) []call {
	const most = 1000
	var list []call
	add := func(name string, serve func(context.Context) error) {
		list = append(list, call{name: name, most: most, serve: serve})
	}
	people := func(name string, serve func(context.Context) error) {
		list = append(list, call{name: name, most: most, serve: serve, forPeople: true})
	}
	job := func(n int) uuid.UUID { return w.id(fmt.Sprintf("job%d", n)) }
	tenant := jobs.DefaultTenant
	lease := store.Lease{}
	worker := uuid.MustParse("00000000-0000-0000-0001-000000000001")
	first := 1000 + 20000*round // of the jobs of this round; a multiple of 200 but for the thousands

	add("lease", func(ctx context.Context) (err error) {
		lease, _, err = w.Acquire(ctx, "leader", uuid.New(), time.Hour)
		if err != nil {
			lease, _, err = w.Acquire(ctx, fmt.Sprintf("leader-%d", round), uuid.New(), time.Hour)
		}
		return err
	})
	add("accept", func(ctx context.Context) error {
		_, err := w.Accept(ctx, tenant, []store.Upload{plainUpload(), plainUpload()})
		return err
	})
	same := plainUpload()
	same.File.SHA256[0] = byte(round)
	same.Job.Reusable = true
	add("accept a reusable one", func(ctx context.Context) error {
		_, err := w.Accept(ctx, tenant, []store.Upload{same})
		return err
	})
	add("succeed with it", func(ctx context.Context) error {
		run := store.RunRef{JobID: same.Job.ID, Claim: uuid.New()}
		_, err := w.Claim(ctx, store.ClaimRequest{JobID: run.JobID, Generation: 1, Claim: run.Claim, Worker: worker, Kinds: []string{"inspect"}})
		if err == nil && round > 0 {
			_, err = w.End(ctx, store.RunEnd{JobID: run.JobID, Claim: run.Claim, Outcome: jobs.RunSucceeded})
		}
		return err
	})
	add("take over a result", func(ctx context.Context) error {
		again := same
		again.File.ID, again.Job.ID = jobs.NewID(), jobs.NewID()
		accepted, err := w.Accept(ctx, tenant, []store.Upload{again})
		if err == nil && round > 0 && accepted[0].ResultOf == uuid.Nil {
			return errors.New("no result was taken over")
		}
		return err
	})
	run := store.RunRef{JobID: job(first + 17), Claim: uuid.New()}
	add("claim", func(ctx context.Context) error {
		_, err := w.Claim(ctx, store.ClaimRequest{JobID: run.JobID, Generation: 1, Claim: run.Claim, Worker: worker, Kinds: []string{"inspect"}})
		return err
	})
	add("progress", func(ctx context.Context) error {
		_, err := w.Progress(ctx, []store.RunProgress{{JobID: run.JobID, Claim: run.Claim, Progress: 0.5}})
		return err
	})
	key := uuid.New()
	add("hold blob", func(ctx context.Context) error {
		if err := w.HoldBlob(ctx, run.JobID, run.Claim, key); err != nil && round > 0 {
			return err
		}
		return nil
	})
	end := func(ctx context.Context, end store.RunEnd) error {
		if _, err := w.End(ctx, end); err != nil && round > 0 {
			return err
		}
		return nil
	}
	add("end", func(ctx context.Context) error {
		return end(ctx, store.RunEnd{JobID: run.JobID, Claim: run.Claim, Outcome: jobs.RunSucceeded, Result: json.RawMessage(`{}`)})
	})
	add("end again", func(ctx context.Context) error {
		return end(ctx, store.RunEnd{JobID: run.JobID, Claim: run.Claim, Outcome: jobs.RunSucceeded, Result: json.RawMessage(`{}`)})
	})
	add("end with more", func(ctx context.Context) error {
		return end(ctx, store.RunEnd{
			JobID: job(first + 101), Claim: w.id(fmt.Sprintf("claim%d", first+101)), Outcome: jobs.RunSucceeded,
			Artifacts: []store.NewArtifact{{Artifact: jobs.Artifact{Name: "a", Size: 1}, Content: []byte("a")}},
			Children:  []store.Upload{plainUpload()},
		})
	})
	add("hand back", func(ctx context.Context) error { return w.HandBack(ctx, job(first+27), 1, time.Second) })
	add("lanes", func(ctx context.Context) error {
		lanes, err := w.Lanes(ctx, map[string]jobs.Tenant{"low": "c"}, 100)
		if len(lanes) != 28 && round > 0 { // the default one has jobs in three queues, 25 tenants in one
			return fmt.Errorf("%d lanes", len(lanes))
		}
		return err
	})
	list = append(list, call{name: "heads", most: 6000, serve: func(ctx context.Context) error { // of 1,110 jobs
		limits := map[store.Lane]int{{Queue: "default", Tenant: tenant}: 500, {Queue: "critical", Tenant: tenant}: 500, {Queue: "low", Tenant: tenant}: 100}
		for c := 'd'; c < 'i'; c++ {
			limits[store.Lane{Queue: "default", Tenant: jobs.Tenant(c)}] = 2
		}
		heads, err := w.Heads(ctx, limits)
		if len(heads) != 1110 && round > 0 {
			return fmt.Errorf("%d heads", len(heads))
		}
		return err
	}})
	list = append(list, call{name: "costs", most: 10_000, serve: func(ctx context.Context) error { _, err := w.Costs(ctx, 1000); return err }})
	add("redeliver", func(ctx context.Context) error {
		_, err := w.Redeliver(ctx, lease, []store.Delivery{{JobID: job(first + 37), Generation: 1}})
		return err
	})
	add("publish room", func(ctx context.Context) error { return w.PublishRoom(ctx, lease, map[string]int{"default": round}) })
	add("room", func(ctx context.Context) error { _, err := w.Room(ctx, "leader"); return err })
	add("beat", func(ctx context.Context) error {
		if _, err := w.Beat(ctx, store.WorkerStatus{ID: worker}); err != nil && round > 0 {
			return err
		}
		return nil
	})
	add("running", func(ctx context.Context) error { _, err := w.Running(ctx, job(first), 50); return err })
	list = append(list, call{name: "reap workers", most: 4000, serve: func(ctx context.Context) error { // all running jobs are looked at
		gone := uuid.MustParse(fmt.Sprintf("00000000-0000-0000-0001-%012d", 1+2*round))
		_, err := w.ReapWorkers(ctx, lease, map[uuid.UUID]int64{gone: 1})
		return err
	}})
	add("reap runs", func(ctx context.Context) error {
		_, err := w.ReapRuns(ctx, lease, []store.RunRef{{JobID: job(first + 201), Claim: w.id(fmt.Sprintf("claim%d", first+201))}})
		return err
	})
	list = append(list, call{name: "settle parents", most: 10_000, serve: func(ctx context.Context) error { // all waiting jobs are looked at
		_, err := w.SettleParents(ctx, lease, 10)
		return err
	}})
	add("prune jobs", func(ctx context.Context) error { _, _, err := w.PruneJobs(ctx, time.Hour, 10); return err })
	add("prune roll-ups", func(ctx context.Context) error { _, err := w.PruneRollups(ctx, time.Hour, 10); return err })
	add("drop holds", func(ctx context.Context) error { _, err := w.DropHolds(ctx, 0, 10); return err })
	add("unowned", func(ctx context.Context) error { _, err := w.Unowned(ctx, []uuid.UUID{key, uuid.New()}); return err })
	add("feed", func(ctx context.Context) error {
		_, _, err := w.EventsAfter(ctx, fmt.Sprintf("%d.%s.0", 1<<40, uuid.Nil), 100)
		return err
	})
	add("job", func(ctx context.Context) error { return ignoreMissing(w.Job(ctx, tenant, job(first+3))) })
	add("file", func(ctx context.Context) error {
		_, _, err := w.File(ctx, tenant, w.id("file1"))
		return ignoreMissing(0, err)
	})
	add("artifact", func(ctx context.Context) error {
		_, _, err := w.Artifact(ctx, tenant, job(first), "thumb.jpg")
		return ignoreMissing(0, err)
	})
	add("attempts", func(ctx context.Context) error { return ignoreMissing(w.Attempts(ctx, tenant, job(first+1))) })
	add("events", func(ctx context.Context) error { return ignoreMissing(w.Events(ctx, tenant, job(first+1), 0, 100)) })
	// They count up to CountLimit of the rows, a block for each that was never vacuumed.
	list = append(list, call{name: "ready", most: 125_000, serve: func(ctx context.Context) error { _, err := w.Ready(ctx, tenant); return err }})
	list = append(list, call{name: "pressure", most: 125_000, serve: func(ctx context.Context) error { _, err := w.Pressure(ctx); return err }})
	add("marks", func(ctx context.Context) error {
		return ignoreMissing(w.Marks(ctx, tenant, []uuid.UUID{job(first), job(first + 1)}))
	})
	add("events of a tenant", func(ctx context.Context) error {
		_, _, err := w.TenantEvents(ctx, tenant, fmt.Sprintf("%d.%s.0", 1<<40, uuid.Nil), 100)
		return err
	})
	list = append(list, call{name: "place", most: 100_000, serve: func(ctx context.Context) error { return ignoreMissing(w.Place(ctx, tenant, job(199_997))) }})
	list = append(list, call{name: "queues", most: 100_000, serve: func(ctx context.Context) error { _, err := w.Queues(ctx, tenant); return err }})
	list = append(list, call{name: "all queues", most: 100_000, serve: func(ctx context.Context) error { _, err := w.AllQueues(ctx); return err }})
	list = append(list, w.transferCalls()...)
	list = append(list, w.scalingCalls()...)

	for name, filter := range map[string]store.JobFilter{"kind": {Kind: "tabel"}, "queue": {Queue: "nowhere", State: jobs.Failed}} {
		people("list a "+name+" that there is not", func(ctx context.Context) error {
			_, _, err := w.ListJobs(ctx, tenant, filter, store.Page{Limit: 10, Scan: 100})
			return err
		})
	}
	filters := map[string]store.JobFilter{
		"all": {}, "kind": {Kind: "table"}, "queue": {Queue: "low"}, "file": {FileID: w.id("file7")}, "parent": {ParentID: job(first + 3)},
		"failed tables": {State: jobs.Failed, Kind: "table"},
	}
	for _, state := range jobs.States() {
		filters[string(state)] = store.JobFilter{State: state}
	}
	for name, filter := range filters {
		people("list "+name, func(ctx context.Context) error {
			_, next, err := w.ListJobs(ctx, tenant, filter, store.Page{Limit: 10, Scan: 100})
			if err == nil {
				_, _, err = w.ListJobs(ctx, tenant, filter, store.Page{Limit: 10, Scan: 100, After: next})
			}
			return err
		})
		if !filter.State.Ended() {
			people("cancel "+name, func(ctx context.Context) error { _, err := w.CancelJobs(ctx, tenant, filter, 2); return err })
		}
		if filter.State == "" || filter.State == jobs.Failed || filter.State == jobs.Cancelled {
			people("retry "+name, func(ctx context.Context) error { _, err := w.RetryJobs(ctx, tenant, filter, 2); return err })
		}
	}
	return list
}

// transferCalls are what becomes of an upload that comes in several requests.
func (w *watched) transferCalls() []call {
	const most = 100
	tenant := jobs.DefaultTenant
	t := store.Transfer{ID: jobs.NewID(), BlobKey: uuid.New(), TransferProgress: store.TransferProgress{Length: 100}}
	var list []call
	add := func(name string, serve func(context.Context) error) {
		list = append(list, call{name: name, most: most, serve: serve})
	}
	add("begin a transfer", func(ctx context.Context) (err error) {
		t, err = w.BeginTransfer(ctx, tenant, t)
		return err
	})
	add("transfer", func(ctx context.Context) error { _, err := w.Transfer(ctx, tenant, t.ID); return err })
	add("claim a transfer", func(ctx context.Context) (err error) {
		t, _, err = w.ClaimTransfer(ctx, tenant, t.ID, 0)
		return err
	})
	add("claim it elsewhere", func(ctx context.Context) error { _, _, err := w.ClaimTransfer(ctx, tenant, t.ID, 7); return err })
	add("advance a transfer", func(ctx context.Context) error {
		_, err := w.AdvanceTransfer(ctx, tenant, t.ID, t.Epoch, store.TransferProgress{Length: 100, Offset: 50})
		return err
	})
	add("finish a transfer", func(ctx context.Context) error {
		u := plainUpload() // whose content is inline, so that the blob's row goes
		u.File.ID, u.File.Size, u.File.Content = t.ID, 100, make([]byte, 100)
		_, err := w.FinishTransfer(ctx, tenant, t.ID, t.Epoch, u, nil)
		return err
	})
	add("drop a transfer", func(ctx context.Context) error {
		begun, err := w.BeginTransfer(ctx, tenant, store.Transfer{ID: jobs.NewID(), BlobKey: uuid.New()})
		if err == nil {
			_, err = w.DropTransfer(ctx, tenant, begun.ID)
		}
		return err
	})
	list = append(list, call{name: "prune transfers", most: 1000, serve: func(ctx context.Context) error {
		_, _, err := w.PruneTransfers(ctx, time.Hour, 20)
		return err
	}})
	return list
}

// scalingCalls are what the scaler asks for. The load takes a look at each job that waits, up to a
// bound: 22,000 of those of filling.
func (w *watched) scalingCalls() []call {
	const target = "a"
	horizons, spans := []time.Duration{time.Minute, time.Hour}, []time.Duration{time.Minute, 15 * time.Minute}
	return []call{
		{name: "load", most: 30_000, serve: func(ctx context.Context) error { _, err := w.Load(ctx, horizons, spans); return err }},
		{name: "arrivals", most: 1000, serve: func(ctx context.Context) error {
			_, err := w.Arrivals(ctx, time.Now().Add(-3*time.Hour))
			return err
		}},
		{name: "scaling state", most: 100, serve: func(ctx context.Context) error { _, err := w.ScalingState(ctx, target); return err }},
		{name: "record a decision", most: 100, serve: func(ctx context.Context) error {
			d := store.NewDecision{At: time.Now(), Current: 1, Outcome: store.ScaleUnchanged, Same: "x"}
			for range 2 {
				if _, err := w.RecordDecision(ctx, target, d); err != nil {
					return err
				}
			}
			return nil
		}},
		{name: "decisions", most: 100, serve: func(ctx context.Context) error {
			_, err := w.Decisions(ctx, jobs.DefaultTenant, target, uuid.Nil, 20)
			return err
		}},
		{name: "targets", most: 100, serve: func(ctx context.Context) error { _, err := w.Targets(ctx, jobs.DefaultTenant); return err }},
		{name: "prune decisions", most: 1000, serve: func(ctx context.Context) error {
			_, err := w.PruneDecisions(ctx, 24*time.Hour, 10)
			return err
		}},
	}
}

func ignoreMissing(_ any, err error) error {
	if err != nil && strings.Contains(err.Error(), store.ErrNotFound.Error()) {
		return nil
	}
	return err
}

func plainUpload() store.Upload {
	return store.Upload{
		File: store.NewFile{ID: jobs.NewID(), Name: "a", MediaType: "text/plain"},
		Job:  store.NewJob{ID: jobs.NewID(), Kind: "inspect", KindVersion: 1, Queue: jobs.DefaultQueue, MaxAttempts: 5},
	}
}

// id gives the ID that filling has made of a name.
func (w *watched) id(name string) uuid.UUID {
	return uuid.UUID(md5.Sum([]byte(name)))
}

// judgment says what of the server's plans is judged.
type judgment int

const (
	notAtAll judgment = iota
	byScans           // and of what programs ask for, by the blocks too
	byAll
)

// exercise asks for everything and checks how the server did it.
func (w *watched) exercise(t *testing.T, round int, judge judgment) {
	t.Helper()
	for _, c := range w.calls(round) {
		w.taken()
		if err := c.serve(t.Context()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		plans := w.taken()
		if len(plans) == 0 {
			t.Errorf("%s: no plan was told", c.name)
		}
		for _, p := range plans {
			if scans := p.Plan.scans(); judge >= byScans && len(scans) > 0 {
				t.Errorf("%s reads %v from end to end: %s", c.name, scans, p.Text)
			}
			if blocks := p.Plan.Hit + p.Plan.Read; blocks > c.most && (judge == byAll || judge == byScans && !c.forPeople) {
				t.Errorf("%s looks at %d blocks, at most %d are allowed: %s", c.name, blocks, c.most, p.Text)
			}
		}
	}
}

// TestPlans: against 200,000 jobs, nothing that is asked for often reads a table from end to end,
// whether it was planned when the tables were empty, or knowing them, by the server's own judgment.
func TestPlans(t *testing.T) {
	if testing.Short() {
		t.Skip("left to make test-all: it fills tables with 200,000 jobs")
	}
	t.Parallel()
	// A server of its own: the feed of events waits for what is open in a whole server, and the
	// statements that fill the tables are open for long.
	url := testserver.NewPostgres(t, testserver.NoFsync("plans do not depend on it")).URL()
	if err := Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for table := range big { // a statistic would have the statements planned anew
		if _, err := conn.Exec(t.Context(), "ALTER TABLE "+table+" SET (autovacuum_enabled = off)"); err != nil {
			t.Fatal(err)
		}
	}
	early := watch(t, Options{URL: url, MaxConns: 1}, nil)
	early.exercise(t, 0, notAtAll)
	if _, err := conn.Exec(t.Context(), filling); err != nil {
		t.Fatal(err)
	}
	early.exercise(t, 1, byScans)
	if _, err := conn.Exec(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	watch(t, Options{URL: url, MaxConns: 1}, nil).exercise(t, 2, byAll)
	watch(t, Options{URL: url, MaxConns: 1, Pooler: true}, nil).exercise(t, 3, byAll)
}
