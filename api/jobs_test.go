package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func TestJobFromBeginToEnd(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		u := f.uploadRaw("hello", "kind=inspect")
		path := "/v1/jobs/" + u.JobID.String()

		fresh := into[wire.Job](f.get(path).is(http.StatusOK))
		f.equal("a fresh job", wire.Job{
			ID: u.JobID, FileID: u.FileID, Kind: "inspect", Queue: "default", State: "pending",
			Attempt: 1, MaxAttempts: 5, RunAt: fresh.RunAt, CreatedAt: fresh.CreatedAt,
		}, fresh)
		f.equal("its fields", "attempt cancel_requested created_at file_id id kind losses max_attempts queue run_at state", fieldsOf(f.get(path)))

		f.run(u.JobID, 1, store.RunEnd{Outcome: jobs.RunRetry, Error: &jobs.Error{Code: "oops", Message: "once more"}})
		again := into[wire.Job](f.get(path).is(http.StatusOK))
		f.equal("state", "retrying", again.State)
		f.equal("attempt", 2, again.Attempt)
		f.equal("error", &wire.JobError{Code: "oops", Message: "once more"}, again.Error)

		f.run(u.JobID, 2, store.RunEnd{
			Outcome: jobs.RunSucceeded, Result: json.RawMessage(`{"lines":1}`),
			Artifacts: []store.NewArtifact{{
				Artifact: jobs.Artifact{Name: "a view.png", MediaType: "image/png", Size: 3, SHA256: [32]byte{1}},
				Content:  []byte("png"),
			}},
		})
		done := into[wire.Job](f.get(path).is(http.StatusOK))
		f.equal("state", "succeeded", done.State)
		f.equal("result", `{"lines":1}`, string(done.Result))
		f.equal("progress", new(1.0), done.Progress)
		f.equal("artifacts", []wire.Artifact{{
			Name: "a view.png", MediaType: "image/png", Size: 3, SHA256: "01" + strings.Repeat("0", 62), URL: path + "/artifacts/a%20view.png",
		}}, done.Artifacts)
		if done.StartedAt.IsZero() || done.FinishedAt.Before(done.StartedAt) || done.FinishedAt.Location() != time.UTC {
			t.Errorf("started %v, finished %v", done.StartedAt, done.FinishedAt)
		}

		runs := into[wire.Attempts](f.get(path + "/attempts").is(http.StatusOK)).Attempts
		f.equal("runs", 2, len(runs))
		f.equal("the first run's end", "retry", runs[0].Outcome)
		f.equal("the first run's error", &wire.JobError{Code: "oops", Message: "once more"}, runs[0].Error)
		f.equal("the second run", wire.Attempt{
			Run: 2, Worker: runs[1].Worker, Label: "test-worker", Outcome: "succeeded",
			StartedAt: runs[1].StartedAt, FinishedAt: runs[1].FinishedAt,
		}, runs[1])

		f.equal("artifact", "png", string(f.get(done.Artifacts[0].URL).is(http.StatusOK).body))
	})
}

// fieldsOf lists the fields of an object in JSON.
func fieldsOf(r *reply) string {
	r.Helper()
	fields := into[map[string]json.RawMessage](r)
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestJobWithChildren(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		u := f.uploadRaw("parent", "")
		child := func() store.Upload {
			return store.Upload{
				File: store.NewFile{ID: jobs.NewID(), Name: "c", Content: []byte("c"), Size: 1, MediaType: "text/plain"},
				Job:  store.NewJob{ID: jobs.NewID(), Kind: "inspect", KindVersion: 1, Queue: "default", MaxAttempts: 1},
			}
		}
		a, b := child(), child()
		f.run(u.JobID, 1, store.RunEnd{Outcome: jobs.RunSucceeded, Children: []store.Upload{a, b}})
		f.run(a.Job.ID, 1, store.RunEnd{Outcome: jobs.RunFailed, Error: &jobs.Error{Code: jobs.CodeMalformed, Message: "bad"}})

		parent := into[wire.Job](f.get("/v1/jobs/" + u.JobID.String()).is(http.StatusOK))
		f.equal("state", "waiting", parent.State)
		f.equal("children", &wire.Children{Pending: 1, Failed: 1}, parent.Children)

		list := into[wire.Jobs](f.get("/v1/jobs?parent_id=" + u.JobID.String()).is(http.StatusOK)).Jobs
		f.equal("listed children", 2, len(list))
		f.equal("parent", u.JobID, list[0].ParentID)
	})
}

func TestListJobs(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		var newestFirst []uuid.UUID
		var first wire.Upload
		for i := range 7 {
			u := f.uploadRaw(fmt.Sprint(i), fmt.Sprintf("queue=q%d", i%2))
			if i == 0 {
				first = u
			}
			newestFirst = append([]uuid.UUID{u.JobID}, newestFirst...)
		}
		f.run(first.JobID, 1, store.RunEnd{Outcome: jobs.RunSucceeded, Result: json.RawMessage(`{"a":1}`)})

		var got []uuid.UUID
		for cursor := ""; ; {
			page := into[wire.Jobs](f.get("/v1/jobs?limit=3&cursor=" + cursor).is(http.StatusOK))
			for _, job := range page.Jobs {
				got = append(got, job.ID)
				f.equal("result in a list", "", string(job.Result))
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
		f.equal("all jobs by pages", newestFirst, got)

		for query, want := range map[string]int{
			"queue=q0":                            4,
			"queue=q1":                            3,
			"state=succeeded":                     1,
			"state=pending&queue=q0":              3,
			"kind=inspect":                        7,
			"kind=convert":                        0,
			"file_id=" + first.FileID.String():    1,
			"file_id=" + jobs.NewID().String():    0,
			"parent_id=" + first.JobID.String():   0,
			"state=pending&kind=inspect&limit=10": 6,
		} {
			page := into[wire.Jobs](f.get("/v1/jobs?" + query).is(http.StatusOK))
			if len(page.Jobs) != want {
				t.Errorf("?%s: %d jobs, want %d", query, len(page.Jobs), want)
			}
		}
		f.equal("an empty list", "{\"jobs\":[]}\n", string(f.get("/v1/jobs?kind=none").is(http.StatusOK).body))
	})
}

func TestQueriesAreTakenAtTheirWord(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	for _, test := range []struct {
		method, target string
		code           wire.Code
		field          string
	}{
		{"GET", "/v1/jobs?state=happy", wire.CodeInvalidParameter, "state"},
		{"GET", "/v1/jobs?limit=0", wire.CodeInvalidParameter, "limit"},
		{"GET", "/v1/jobs?limit=1001", wire.CodeInvalidParameter, "limit"},
		{"GET", "/v1/jobs?limit=ten", wire.CodeInvalidParameter, "limit"},
		{"GET", "/v1/jobs?limit=99999999999999999999", wire.CodeInvalidParameter, "limit"},
		{"GET", "/v1/jobs?file_id=7", wire.CodeInvalidParameter, "file_id"},
		{"GET", "/v1/jobs?parent_id=00000000-0000-0000-0000-000000000000", wire.CodeInvalidParameter, "parent_id"},
		{"GET", "/v1/jobs?kind=" + strings.Repeat("k", 64), wire.CodeInvalidParameter, "kind"},
		{"GET", "/v1/jobs?kind=", wire.CodeInvalidParameter, "kind"},
		{"GET", "/v1/jobs?kind", wire.CodeInvalidParameter, "kind"},
		{"GET", "/v1/jobs?sate=failed", wire.CodeUnknownField, "sate"},
		{"GET", "/v1/jobs?state=failed&state=pending", wire.CodeDuplicateField, "state"},
		{"GET", "/v1/jobs?kind=%zz", wire.CodeMalformedRequest, ""},
		{"GET", "/v1/jobs?cursor=nonsense", wire.CodeInvalidCursor, "cursor"},
		{"GET", "/v1/jobs?cursor=" + strings.Repeat("A", 65), wire.CodeInvalidParameter, "cursor"},
		{"GET", "/v1/jobs/7", wire.CodeInvalidParameter, "id"},
		{"GET", "/v1/jobs/" + jobs.NewID().String() + "?x=1", wire.CodeUnknownField, "x"},
		{"GET", "/v1/jobs/" + jobs.NewID().String(), wire.CodeNotFound, ""},
		{"GET", "/v1/jobs/" + jobs.NewID().String() + "/attempts", wire.CodeNotFound, ""},
		{"POST", "/v1/jobs/" + jobs.NewID().String() + "/cancel", wire.CodeNotFound, ""},
		{"POST", "/v1/jobs/" + jobs.NewID().String() + "/retry", wire.CodeNotFound, ""},
		{"POST", "/v1/jobs/nonsense/retry", wire.CodeInvalidParameter, "id"},
		{"POST", "/v1/jobs/cancel", wire.CodeFilterRequired, ""},
		{"POST", "/v1/jobs/retry?limit=5", wire.CodeFilterRequired, ""},
		{"POST", "/v1/jobs/cancel?queue=", wire.CodeInvalidParameter, "queue"},
		{"POST", "/v1/jobs/cancel?state=pending&quue=a", wire.CodeUnknownField, "quue"},
		{"POST", "/v1/jobs/cancel?state=pending&limit=-1", wire.CodeInvalidParameter, "limit"},
		{"POST", "/v1/jobs/cancel?file_id=00000000-0000-0000-0000-000000000000", wire.CodeInvalidParameter, "file_id"},
		{"POST", "/v1/queues/UPPER/pause", wire.CodeInvalidParameter, "name"},
		{"POST", "/v1/queues/" + strings.Repeat("q", 64) + "/resume", wire.CodeInvalidParameter, "name"},
		{"GET", "/v1/files/7/content", wire.CodeInvalidParameter, "id"},
		{"GET", "/v1/files/" + jobs.NewID().String(), wire.CodeNotFound, ""},
		{"GET", "/v1/files/" + jobs.NewID().String() + "/content", wire.CodeNotFound, ""},
		{"GET", "/v1/jobs/" + jobs.NewID().String() + "/artifacts/..%2Fx", wire.CodeNotFound, ""},
	} {
		r := f.send(test.method, test.target, nil)
		p := into[wire.Problem](r)
		if p.Code != test.code {
			t.Errorf("%s %s: %s", test.method, test.target, r.body)
			continue
		}
		if test.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != test.field || p.Errors[0].Message == "") {
			t.Errorf("%s %s: blames %+v, want %s", test.method, test.target, p.Errors, test.field)
		}
	}
	// A filter in a body would be passed over.
	f.send("POST", "/v1/jobs/cancel?state=pending", strings.NewReader(`{"queue":"a"}`), "Content-Type: application/json").fails(wire.CodeMalformedRequest)
}

func TestCancelAndRetryOfOneJob(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		u := f.uploadRaw("x", "")
		path := "/v1/jobs/" + u.JobID.String()
		f.post(path + "/retry").fails(wire.CodeStateConflict)
		f.equal("cancelled", "cancelled", into[wire.Job](f.post(path+"/cancel").is(http.StatusOK)).State)
		f.equal("cancelled again", "cancelled", into[wire.Job](f.post(path+"/cancel").is(http.StatusOK)).State)
		f.equal("retried", "pending", into[wire.Job](f.post(path+"/retry").is(http.StatusOK)).State)

		claim := f.claim(u.JobID, 2, f.worker())
		running := into[wire.Job](f.post(path + "/cancel").is(http.StatusOK))
		f.equal("still runs", "running", running.State)
		f.equal("asked to stop", true, running.CancelRequested)
		_, err := s.End(t.Context(), store.RunEnd{JobID: u.JobID, Claim: claim, Outcome: jobs.RunSucceeded})
		f.ok(err)
		p := f.post(path + "/cancel").fails(wire.CodeStateConflict)
		f.equal("detail", "Cannot cancel a job that is succeeded.", p.Detail)
	})
}

func TestCancelAndRetryOfManyJobs(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		for i := range 7 {
			f.uploadRaw(fmt.Sprint(i), fmt.Sprintf("queue=q%d", i%2))
		}
		changed := func(target string) wire.Changed {
			t.Helper()
			return into[wire.Changed](f.post(target).is(http.StatusOK))
		}
		f.equal("first batch", wire.Changed{Changed: 3, More: true}, changed("/v1/jobs/cancel?queue=q0&limit=3"))
		f.equal("second batch", wire.Changed{Changed: 1}, changed("/v1/jobs/cancel?queue=q0&limit=3"))
		f.equal("third batch", wire.Changed{}, changed("/v1/jobs/cancel?queue=q0&limit=3"))
		f.equal("by state", wire.Changed{Changed: 3}, changed("/v1/jobs/cancel?state=pending"))
		f.equal("none fits", wire.Changed{}, changed("/v1/jobs/retry?kind=convert"))
		f.equal("retried", wire.Changed{Changed: 7}, changed("/v1/jobs/retry?state=cancelled"))
		f.equal("pending again", 7, len(into[wire.Jobs](f.get("/v1/jobs?state=pending").is(http.StatusOK)).Jobs))

		// A running job is asked once: whoever repeats the call while more is true comes to an end.
		u := f.uploadRaw("runs", "queue=busy")
		f.claim(u.JobID, 1, f.worker())
		f.equal("asked", wire.Changed{Changed: 1, More: true}, changed("/v1/jobs/cancel?queue=busy&limit=1"))
		f.equal("not asked again", wire.Changed{}, changed("/v1/jobs/cancel?queue=busy&limit=1"))
	})
}

func TestQueues(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		f.equal("no queues", "{\"queues\":[]}\n", string(f.get("/v1/queues").is(http.StatusOK).body))
		f.uploadRaw("1", "queue=a")
		f.uploadRaw("2", "queue=a&run_at="+time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		u := f.uploadRaw("3", "queue=a")
		f.claim(u.JobID, 1, f.worker())
		f.equal("paused", wire.QueueState{Name: "b", Paused: true}, into[wire.QueueState](f.post("/v1/queues/b/pause").is(http.StatusOK)))
		f.post("/v1/queues/b/pause").is(http.StatusOK)

		got := into[wire.Queues](f.get("/v1/queues").is(http.StatusOK)).Queues
		f.equal("queues", 2, len(got))
		f.equal("depth", wire.Depth{Ready: 1, Later: 1, Running: 1}, got[0].Depth)
		f.equal("first is paused", false, got[0].Paused)
		if got[0].OldestAt.IsZero() {
			t.Error("the age of the oldest job is not known")
		}
		f.equal("b", wire.Queue{Name: "b", Paused: true, Rates: &wire.Rates{}}, got[1])

		f.equal("resumed", wire.QueueState{Name: "b"}, into[wire.QueueState](f.post("/v1/queues/b/resume").is(http.StatusOK)))
		got = into[wire.Queues](f.get("/v1/queues").is(http.StatusOK)).Queues
		f.equal("b is paused", false, got[1].Paused)
	})
}
