package postgres

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func openStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{URL: testserver.PostgresTemplate(t, "leat", Migrate)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// startRuns makes n running jobs.
func startRuns(t *testing.T, s *Store, n int) []store.RunRef {
	t.Helper()
	worker := uuid.New()
	if err := s.Register(t.Context(), store.WorkerStatus{ID: worker}); err != nil {
		t.Fatal(err)
	}
	runs := make([]store.RunRef, n)
	for i := range runs {
		up := plainUpload()
		if _, err := s.Accept(t.Context(), jobs.DefaultTenant, []store.Upload{up}); err != nil {
			t.Fatal(err)
		}
		runs[i] = store.RunRef{JobID: up.Job.ID, Claim: uuid.New()}
		claimed, err := s.Claim(t.Context(), store.ClaimRequest{
			JobID: runs[i].JobID, Generation: 1, Claim: runs[i].Claim, Worker: worker, Kinds: []string{"inspect"},
		})
		if err != nil || claimed.Refused != "" {
			t.Fatalf("claim: refused %q, %v", claimed.Refused, err)
		}
	}
	return runs
}

// TestGroupIsReplayedRowByRow: a group of ends that the server refuses as a whole (what
// jobs.CheckResult would have caught is let through here) costs only those their success whose data
// it was.
func TestGroupIsReplayedRowByRow(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	bad := []json.RawMessage{
		json.RawMessage("{\"a\":\"\xff\xfe\"}"), json.RawMessage("\"a\x00b\""), json.RawMessage(`{"a":`), json.RawMessage("\xc3"),
		json.RawMessage(strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)),
	}
	const good = 40
	runs := startRuns(t, s, good+len(bad))
	ends := make([]store.RunEnd, len(runs))
	for i, run := range runs {
		ends[i] = store.RunEnd{JobID: run.JobID, Claim: run.Claim, Outcome: jobs.RunSucceeded, Result: json.RawMessage(`{"n":1}`)}
		if i < len(bad) {
			ends[i].Result = bad[i]
		}
	}
	for i, v := range s.endGroup(t.Context(), ends) {
		want := jobs.Succeeded
		if i < len(bad) {
			want = jobs.Failed
		}
		if v.Err != nil || v.Value != want {
			t.Errorf("end %d: %s, %v, want %s", i, v.Value, v.Err, want)
		}
		job, err := s.Job(t.Context(), jobs.DefaultTenant, ends[i].JobID)
		if err != nil {
			t.Fatal(err)
		}
		if job.State != want || want == jobs.Failed && job.Error.Code != jobs.CodeInvalidResult || want == jobs.Succeeded && job.Error != nil {
			t.Errorf("job %d is %s: %v", i, job.State, job.Error)
		}
		if want == jobs.Failed && strings.Contains(job.Error.Message, "\x00") {
			t.Errorf("job %d: message %q", i, job.Error.Message)
		}
	}
	for i, v := range s.endGroup(t.Context(), ends) {
		if v.Err != nil {
			t.Errorf("end %d again: %v", i, v.Err)
		}
	}
}

// TestNULEscapeIsRefused: the column would hold it, but what reads the column might not.
func TestNULEscapeIsRefused(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	run := startRuns(t, s, 1)[0]
	state, err := s.End(t.Context(), store.RunEnd{
		JobID: run.JobID, Claim: run.Claim, Outcome: jobs.RunSucceeded, Result: json.RawMessage(`{"a":"\u0000"}`),
	})
	if err != nil || state != jobs.Failed {
		t.Errorf("got %s, %v", state, err)
	}
}

// TestOnlyTheBadUploadFails: of uploads that come together, in groups of whatever size.
func TestOnlyTheBadUploadFails(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	const n = 60
	calls := make([][]store.Upload, n)
	for i := range calls {
		calls[i] = []store.Upload{plainUpload(), plainUpload()}
		if i%10 == 3 {
			calls[i][1].File.Name = "a\x00b"
		}
	}
	var all sync.WaitGroup
	for i, uploads := range calls {
		all.Go(func() {
			accepted, err := s.Accept(t.Context(), jobs.DefaultTenant, uploads)
			if bad := i%10 == 3; bad != (err != nil) || bad == (len(accepted) == 2) {
				t.Errorf("upload %d: %v, %v", i, accepted, err)
			}
		})
	}
	all.Wait()
	list, _, err := s.ListJobs(t.Context(), jobs.DefaultTenant, store.JobFilter{}, store.Page{Limit: 1000})
	if err != nil || len(list) != 2*(n-n/10) {
		t.Errorf("%d jobs were accepted, want %d; %v", len(list), 2*(n-n/10), err)
	}
}

func TestPortionsKeepTheOrderOfEachKey(t *testing.T) {
	t.Parallel()
	a, b := uuid.New(), uuid.New()
	keys := []uuid.UUID{a, b, a, uuid.New(), b, a}
	weights := []int{1, maxStatement, maxStatement, 1, 1, 1}
	var got [][]int
	for left := indexes(len(keys)); len(left) > 0; {
		var now []int
		now, left = portion(left, func(i int) uuid.UUID { return keys[i] }, func(i int) int { return weights[i] })
		got = append(got, now)
	}
	want := [][]int{{0, 3}, {1}, {2}, {4, 5}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
