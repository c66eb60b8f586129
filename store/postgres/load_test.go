package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
)

// TestNoDeadlocks has everything done at once to the same few families of jobs, through two stores.
// The server counts the circles that it had to break.
func TestNoDeadlocks(t *testing.T) {
	t.Parallel()
	url := fresh(t)
	stores := make([]*postgres.Store, 2)
	for i := range stores {
		s, err := postgres.Open(t.Context(), postgres.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		stores[i] = s
	}
	m := &mix{t: t, stores: stores, worker: register(t, stores[0])}
	lease, _, err := stores[0].Acquire(t.Context(), "leader", uuid.New(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	m.lease = lease
	m.ids = accept(t, stores[0], 40)

	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 7))
			for range 150 {
				m.step(t.Context(), random)
			}
		})
	}
	all.Wait()
	for _, s := range stores { // what their sessions counted is told when they end
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	conn := direct(t, url)
	eventually(t, "the stores' sessions have ended", func() bool {
		var sessions int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'leat'`).Scan(&sessions)
		return err == nil && sessions == 0
	})
	var deadlocks int
	if err := conn.QueryRow(t.Context(), `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks); err != nil {
		t.Fatal(err)
	}
	if deadlocks > 0 {
		t.Errorf("%d deadlocks", deadlocks)
	}
	checkConsistency(t, url)
}

// mix is what one goroutine of many does at random to jobs that all know.
type mix struct {
	t      *testing.T
	stores []*postgres.Store
	worker uuid.UUID
	lease  store.Lease

	mu  sync.Mutex
	ids []uuid.UUID
}

// some gives n jobs at random.
func (m *mix) some(random *rand.Rand, n int) []uuid.UUID {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]uuid.UUID, n)
	for i := range list {
		list[i] = m.ids[random.IntN(len(m.ids))]
	}
	return list
}

// expected are answers that a neighbour's work explains.
func expected(err error) bool {
	var state *store.StateError
	return err == nil || errors.As(err, &state) || errors.Is(err, store.ErrClaimLost) || errors.Is(err, store.ErrNotFound)
}

func (m *mix) step(ctx context.Context, random *rand.Rand) {
	s := m.stores[random.IntN(len(m.stores))]
	ids := m.some(random, 10)
	what, err := "", error(nil)
	switch random.IntN(14) {
	case 0, 1, 2, 3:
		what, err = "run", m.run(ctx, s, random, ids[0])
	case 4:
		what = "cancel"
		_, err = s.Cancel(ctx, jobs.DefaultTenant, ids[0])
	case 5:
		what = "retry"
		_, err = s.Retry(ctx, jobs.DefaultTenant, ids[0])
	case 6:
		what = "cancel many"
		_, err = s.CancelJobs(ctx, jobs.DefaultTenant, store.JobFilter{State: jobs.Waiting}, 3)
	case 7:
		what = "retry many"
		_, err = s.RetryJobs(ctx, jobs.DefaultTenant, store.JobFilter{}, 5)
	case 8:
		what = "settle parents"
		_, err = s.SettleParents(ctx, m.lease, 10)
	case 9:
		what = "reap"
		var running []store.RunningJob
		if running, err = s.Running(ctx, uuid.Nil, 3); err == nil {
			refs := make([]store.RunRef, 0, 3)
			for _, r := range running {
				refs = append(refs, r.RunRef)
			}
			_, err = s.ReapRuns(ctx, m.lease, refs)
		}
	case 10:
		what = "redeliver"
		stuck := make([]store.Delivery, len(ids))
		for i, id := range ids {
			stuck[i] = store.Delivery{JobID: id, Generation: 1 + random.IntN(5)}
		}
		_, err = s.Redeliver(ctx, m.lease, stuck)
	case 11:
		what = "hand back"
		err = s.HandBack(ctx, ids[0], 1+random.IntN(5), 0)
	case 12:
		what = "prune"
		_, _, err = s.PruneJobs(ctx, time.Minute, 1) // nothing is that old, and all are looked at
	case 13:
		what = "queues"
		if err = s.PublishRoom(ctx, m.lease, map[string]int{jobs.DefaultQueue: random.IntN(9), "low": 1}); err == nil {
			err = s.PauseQueue(ctx, jobs.DefaultTenant, fmt.Sprintf("queue-%d", random.IntN(3)))
		}
	}
	if !expected(err) {
		m.t.Errorf("%s: %v", what, err)
	}
}

// run takes a job from its claim to some end, with children now and then.
func (m *mix) run(ctx context.Context, s *postgres.Store, random *rand.Rand, id uuid.UUID) error {
	job, err := s.Job(ctx, jobs.DefaultTenant, id)
	if err != nil {
		return err
	}
	req := request(m.worker, id)
	req.Generation, req.Alone = job.Generation, job.Losses >= jobs.AloneAfter
	claimed, err := s.Claim(ctx, req)
	if err != nil || claimed.Refused != "" {
		return err
	}
	if _, err := s.Progress(ctx, []store.RunProgress{{JobID: id, Claim: req.Claim, Progress: 0.5}}); err != nil {
		return err
	}
	end := success(store.RunRef{JobID: id, Claim: req.Claim})
	switch random.IntN(4) {
	case 0:
		end.Outcome, end.Result = jobs.RunRetry, nil
	case 1:
		for range 1 + random.IntN(4) {
			end.Children = append(end.Children, upload(8))
		}
	case 2:
		end.Outcome, end.Result = jobs.RunFailed, nil
	}
	if _, err := s.End(ctx, end); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range end.Children {
		m.ids = append(m.ids, end.Children[i].Job.ID)
	}
	return nil
}

// checkConsistency asks the database itself whether what it holds makes one story.
func checkConsistency(t *testing.T, url string) {
	t.Helper()
	conn := direct(t, url)
	for what, sql := range map[string]string{
		"jobs whose events have gaps, or are not counted": `SELECT count(*) FROM jobs j
			WHERE j.events <> (SELECT count(*) FROM events e WHERE e.job_id = j.id) OR j.events <> (SELECT max(seq) FROM events e WHERE e.job_id = j.id)`,
		"jobs whose runs are not recorded once each": `SELECT count(*) FROM jobs j
			WHERE j.runs <> (SELECT count(*) FROM attempts a WHERE a.job_id = j.id) + CASE WHEN j.state = 'running' THEN 1 ELSE 0 END`,
		"claims that were recorded twice": `SELECT count(*) FROM (SELECT claim FROM attempts GROUP BY claim HAVING count(*) > 1) a`,
		"jobs that succeeded twice":       `SELECT count(*) FROM (SELECT job_id FROM events WHERE data->>'state' = 'succeeded' GROUP BY job_id HAVING count(*) > 1) e`,
		"files without a job":             `SELECT count(*) FROM files f WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.file_id = f.id)`,
	} {
		var n int
		if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			t.Errorf("%d %s", n, what)
		}
	}
}
