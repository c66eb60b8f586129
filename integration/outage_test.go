package integration

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/integration/system"
)

// ageLeases makes asynq take every running task for a crashed worker's, as it would after a minute
// or two by itself.
func (r *rig) ageLeases(t *testing.T) {
	t.Helper()
	opts, err := redis.ParseURL(r.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(opts)
	defer c.Close()
	key := "asynq:{" + r.Queue + "}:lease"
	ids, err := c.ZRange(t.Context(), key, 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	if len(ids) == 0 {
		t.Fatal("no task is leased")
	}
	for _, id := range ids {
		if err := c.ZAdd(t.Context(), key, redis.Z{Score: float64(time.Now().Add(-10 * time.Minute).Unix()), Member: id}).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *rig) flushRedis(t *testing.T) {
	t.Helper()
	opts, err := redis.ParseURL(r.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(opts)
	defer c.Close()
	if err := c.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func mixed(i int) string {
	switch i % 10 {
	case 0:
		return `{"millis":1000}`
	case 1, 2:
		return `{"fail":1}`
	case 3:
		return `{"artifact":70000}`
	}
	return `{"millis":20}`
}

// P2: Redis loses all it has, again and again, is restarted, and is restored from an old snapshot,
// under load.
func TestP2NothingIsLostWithRedis(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	api := r.API()
	r.Worker()
	r.Worker()
	l := r.startLoad(func() string { return api.URL }, 50, 8, mixed)
	pass(t, 2*time.Second)
	snapshot := r.redis.Snapshot()
	for range 3 {
		pass(t, time.Second)
		r.flushRedis(t)
	}
	r.redis.Kill()
	pass(t, time.Second)
	r.redis.Start()
	pass(t, 3*time.Second)
	r.redis.Restore(snapshot)
	pass(t, 2*time.Second)
	accepted := l.stop()
	if len(l.refused) > 0 {
		t.Errorf("uploads were refused (%v), want none to depend on Redis", l.refused)
	}
	account := r.waitAllEnded(accepted, nil, 3*time.Minute)
	t.Log(account)
	if !account.Balanced() || account.Succeeded != len(accepted) {
		t.Errorf("account: %s", account)
	}
}

// P1: with Redis away for a minute, uploads go on, and all is done when it is back.
func TestP1UploadsGoOnWithoutRedis(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	api := r.API()
	w := r.Worker()
	outage, work := atLength(time.Minute, 10*time.Second), atLength(45*time.Second, 5*time.Second) // asynq's lease is of 30 s
	running := r.upload(api, fmt.Sprintf(`{"millis":%d}`, work.Milliseconds()))
	r.waitState(api, running, wire.Running, patience)
	r.redis.Stop()
	l := r.startLoad(func() string { return api.URL }, 20, 4, mixed)
	pass(t, outage)
	accepted := l.stop()
	if rate := float64(len(accepted)) / outage.Seconds(); len(l.refused) > 0 || rate < 10 {
		t.Errorf("%.1f uploads a second were accepted without Redis, refused %v; want all of about 20", rate, l.refused)
	}
	if job := r.job(api, running); job.State != wire.Succeeded {
		t.Errorf("the job that ran when Redis went away is %s, want it done: a run does not need Redis", job.State)
	}
	r.redis.Start()
	account := r.waitAllEnded(append(accepted, running), nil, 3*time.Minute)
	t.Log(account)
	if !account.Balanced() || account.LostRuns != 0 {
		t.Errorf("account: %s", account)
	}
	if !w.Running() {
		t.Error("the worker did not survive the outage")
	}
}

// P2, P4: with Postgres away for 30 s no worker is reaped and nothing runs twice; uploads get a
// clear 503, and work again.
func TestP2OutageOfPostgresReapsNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	api := r.API()
	r.Worker()
	var ids []uuid.UUID
	for range 5 {
		ids = append(ids, r.upload(api, `{"millis":10000}`)) // ends while Postgres is away
	}
	outage := atLength(30*time.Second, 18*time.Second) // a silent worker is reaped after 15
	ids = append(ids, r.upload(api, fmt.Sprintf(`{"millis":%d}`, (outage+5*time.Second).Milliseconds())))
	for _, id := range ids {
		r.waitState(api, id, wire.Running, patience)
	}
	r.postgres.Stop()
	stopped := time.Now()
	for time.Since(stopped) < outage {
		_, err := r.Upload(t.Context(), r.client, api.URL, "work", "", []byte("x"))
		if e, ok := errors.AsType[*system.StatusError](err); !ok || e.Status != http.StatusServiceUnavailable {
			t.Fatalf("upload without Postgres: %v, want a 503", err)
		}
		pass(t, 2*time.Second)
	}
	r.postgres.Start()
	system.Poll(t.Context(), t, "uploads work again", patience, 200*time.Millisecond, func() bool {
		up, err := r.Upload(t.Context(), r.client, api.URL, "work", "", []byte("x"))
		if err == nil {
			ids = append(ids, up.JobID)
		}
		return err == nil
	})
	account := r.waitAllEnded(ids, nil, 3*time.Minute)
	t.Log(account)
	if !account.Balanced() || account.LostRuns != 0 || account.Succeeded != len(ids) || account.Unheard != 0 {
		t.Errorf("account: %s", account)
	}
	var runs int
	if err := r.DB().QueryRow(t.Context(), `SELECT count(*) FROM attempts`).Scan(&runs); err != nil {
		t.Fatal(err)
	}
	if runs != len(ids) {
		t.Errorf("%d runs for %d jobs, want nothing run twice", runs, len(ids))
	}
}

// P2: Postgres is stopped, killed and started under load.
func TestP2NothingIsLostWhenPostgresRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	api := r.API()
	r.Worker()
	r.Worker()
	l := r.startLoad(func() string { return api.URL }, 50, 8, mixed)
	for _, end := range []func(){r.postgres.Stop, r.postgres.Kill} {
		pass(t, 3*time.Second)
		end()
		pass(t, 2*time.Second)
		r.postgres.Start()
	}
	pass(t, 3*time.Second)
	accepted := l.stop()
	account := r.waitAllEnded(accepted, nil, 3*time.Minute)
	t.Log(account, l.refused)
	if !account.Balanced() || len(accepted) == 0 {
		t.Errorf("account: %s", account)
	}
}
