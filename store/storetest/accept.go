package storetest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func acceptTests() []test {
	return []test{
		{"RoundTrip", testAcceptRoundTrip},
		{"ContentRoundTrip", testContentRoundTrip},
		{"OrderOfAnswers", testAcceptAnswers},
		{"AllOrNone", testAcceptAllOrNone},
		{"OneBadUnitAmongMany", testAcceptOneBadUnitAmongMany},
		{"SameIDTwice", testAcceptSameIDTwice},
		{"StaleBytes", testAcceptStaleBytes},
		{"RunAt", testAcceptRunAt},
		{"FutureIsNotReady", testFutureIsNotReady},
		{"ThousandAtOnce", testThousandAccepts},
		{"CallersWhoGaveUp", testAcceptCallersWhoGaveUp},
		{"Nothing", testAcceptNothing},
	}
}

func testAcceptRoundTrip(f *fixture) {
	content := []byte("eins\x00zwei\xff")
	u := upload(withContent(content), later, inQueue("high.prio_1-a"), ofKind("image"), failsWithChildren)
	u.File.Name, u.File.MediaType, u.File.ClaimedType = "Grüße 'n \"so\" 🚲.txt", "text/plain; charset=utf-8", "image/png"
	u.Job.KindVersion, u.Job.MaxAttempts = 7, 3
	u.Job.Params = json.RawMessage(`{"b":[1,2.50,null],"a":"ü\\u0000 🚲 ' \""}`)
	u.Job.ParamsHash = sha256.Sum256(u.Job.Params)
	_, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{u})
	f.ok(err)

	job := f.job(u.Job.ID)
	f.sameJSON("parameters", u.Job.Params, job.Params)
	if job.CreatedAt.IsZero() || job.CreatedAt.Location() != time.UTC || job.RunAt.Location() != time.UTC {
		f.Errorf("created at %v, runs at %v: want times in UTC", job.CreatedAt, job.RunAt)
	}
	f.equal("job", jobs.Job{
		ID: u.Job.ID, Tenant: f.tenant, FileID: u.File.ID, Kind: "image", KindVersion: 7, Queue: "high.prio_1-a",
		Params: job.Params, ParamsHash: u.Job.ParamsHash, State: jobs.Pending, Generation: 1, MaxAttempts: 3,
		RunAt: u.Job.RunAt, CreatedAt: job.CreatedAt,
	}, job)

	file, got, err := f.s.File(f.ctx(), f.tenant, u.File.ID)
	f.ok(err)
	f.equal("file", jobs.File{
		ID: u.File.ID, Tenant: f.tenant, Name: u.File.Name, Size: int64(len(content)), SHA256: sha256.Sum256(content),
		MediaType: u.File.MediaType, ClaimedType: u.File.ClaimedType, CreatedAt: file.CreatedAt,
	}, file)
	if file.CreatedAt.IsZero() {
		f.Error("the file has no time of creation")
	}
	f.equal("content", store.Content{Inline: content}, got)
	f.equal("attempts", []jobs.Attempt(nil), f.attempts(u.Job.ID))
	f.equal("events", []store.EventType{store.EventAccepted}, f.eventTypes(u.Job.ID))
}

// testContentRoundTrip follows bytes of every sort through File and Claim.
func testContentRoundTrip(f *fixture) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	key := uuid.New()
	for name, tc := range map[string]struct {
		options []option
		want    store.Content
		params  json.RawMessage
	}{
		"nil":   {[]option{withContent(nil)}, store.Content{}, nil},
		"empty": {[]option{withContent([]byte{})}, store.Content{}, json.RawMessage(`{}`)},
		"every byte": {
			[]option{withContent(all)}, store.Content{Inline: all}, json.RawMessage(`{"n":123456789012345678}`),
		},
		"64 KiB": {
			[]option{withContent([]byte(strings.Repeat("0123456789abcdef", 4096)))},
			store.Content{Inline: []byte(strings.Repeat("0123456789abcdef", 4096))},
			json.RawMessage(`{"a":1e3}`),
		},
		"blob": {[]option{inBlob(key)}, store.Content{BlobKey: key}, json.RawMessage(`{}`)},
	} {
		u := upload(tc.options...)
		u.Job.Params = tc.params
		_, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{u})
		f.ok(err)
		file, content, err := f.s.File(f.ctx(), f.tenant, u.File.ID)
		f.ok(err)
		f.equal(name+": content of the file", tc.want, content)

		claimed := f.grant(f.request(u.Job.ID))
		f.equal(name+": content of the claim", tc.want, claimed.Content)
		f.equal(name+": file of the claim", file, claimed.File)
		f.equal(name+": job of the claim", f.job(u.Job.ID), claimed.Job)
		if tc.params == nil {
			f.equal(name+": parameters", json.RawMessage(nil), claimed.Job.Params)
		} else {
			f.sameJSON(name+": parameters", tc.params, claimed.Job.Params)
		}
	}
}

func testAcceptAnswers(f *fixture) {
	uploads := []store.Upload{upload(), upload(later), upload(inQueue("other")), upload()}
	accepted, err := f.s.Accept(f.ctx(), f.tenant, uploads)
	f.ok(err)
	if len(accepted) != len(uploads) {
		f.Fatalf("%d answers for %d uploads", len(accepted), len(uploads))
	}
	for i, a := range accepted {
		job := f.job(uploads[i].Job.ID)
		f.equal("answer", store.Accepted{JobID: uploads[i].Job.ID, Generation: 1, RunAt: job.RunAt, Due: i != 1}, a)
	}
}

// absent checks that nothing of an upload was committed.
func (f *fixture) absent(uploads ...store.Upload) {
	f.Helper()
	for _, u := range uploads {
		if _, err := f.s.Job(f.ctx(), f.tenant, u.Job.ID); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("job of a refused upload: %v", err)
		}
		if _, _, err := f.s.File(f.ctx(), f.tenant, u.File.ID); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("file of a refused upload: %v", err)
		}
	}
}

func testAcceptAllOrNone(f *fixture) {
	for bad := range 3 {
		uploads := []store.Upload{upload(), upload(), upload()}
		broken(&uploads[bad])
		if accepted, err := f.s.Accept(f.ctx(), f.tenant, uploads); err == nil {
			f.Fatalf("accepted %+v with upload %d broken", accepted, bad)
		} else if errors.Is(err, store.ErrUnavailable) {
			f.Errorf("bad data is not an outage: %v", err)
		}
		f.absent(uploads...)
	}
}

// testAcceptOneBadUnitAmongMany lets good and bad calls arrive together: each gets its own verdict.
func testAcceptOneBadUnitAmongMany(f *fixture) {
	const n = 60
	units := make([][]store.Upload, n)
	errs := make([]error, n)
	for i := range units {
		units[i] = []store.Upload{upload(), upload()}
		if i%10 == 3 {
			broken(&units[i][1])
		}
	}
	together(n, func(i int) { _, errs[i] = f.s.Accept(f.ctx(), f.tenant, units[i]) })
	for i, err := range errs {
		if i%10 == 3 {
			if err == nil {
				f.Errorf("unit %d was accepted though it is broken", i)
			}
			f.absent(units[i]...)
			continue
		}
		f.ok(err)
		for _, u := range units[i] {
			f.state(u.Job.ID, jobs.Pending)
		}
	}
}

func testAcceptSameIDTwice(f *fixture) {
	first := upload()
	_, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{first})
	f.ok(err)
	before := f.trace(first.Job.ID)

	sameJob, sameFile, innocent := upload(), upload(), upload()
	sameJob.Job.ID = first.Job.ID
	sameFile.File.ID = first.File.ID
	for name, u := range map[string]store.Upload{"job": sameJob, "file": sameFile} {
		if _, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{innocent, u}); err == nil {
			f.Errorf("accepted a second %s with the same ID", name)
		}
	}
	f.absent(innocent)
	f.unchanged("a second upload with its ID", before)
}

func testAcceptStaleBytes(f *fixture) {
	old := time.Now().Add(-store.MaxBlobAge - time.Minute)
	young := time.Now().Add(-store.MaxBlobAge + time.Hour)
	stale, good := upload(inBlobSince(uuid.New(), old)), upload()
	if _, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{good, stale}); !errors.Is(err, store.ErrStale) {
		f.Errorf("bytes over MaxBlobAge old: %v", err)
	}
	f.absent(good, stale)
	unowned, err := f.s.Unowned(f.ctx(), []uuid.UUID{stale.File.BlobKey})
	f.ok(err)
	f.equal("unowned", []uuid.UUID{stale.File.BlobKey}, unowned)

	f.accept(inBlobSince(uuid.New(), young))
	f.accept(func(u *store.Upload) { u.File.StoredAt = old }) // of no meaning without a blob
}

func testAcceptRunAt(f *fixture) {
	past := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	now, early, late := upload(), upload(runAt(past)), upload(later)
	accepted, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{now, early, late})
	f.ok(err)
	if a := accepted[0]; !a.Due || a.RunAt.Sub(f.job(now.Job.ID).CreatedAt).Abs() > time.Second {
		f.Errorf("without a time: %+v", a)
	}
	if a := accepted[1]; !a.Due || !a.RunAt.Equal(past) {
		f.Errorf("with a time in the past, %v: %+v", past, a)
	}
	if a := accepted[2]; a.Due || !a.RunAt.Equal(late.Job.RunAt) {
		f.Errorf("with a time in the future, %v: %+v", late.Job.RunAt, a)
	}
}

func testFutureIsNotReady(f *fixture) {
	soon := f.accept(runAt(time.Now().Add(500 * time.Millisecond).Truncate(time.Microsecond)))
	far := f.accept(later)
	f.refuse(f.request(far), store.RefusedStale)
	if heads := f.heads(); len(heads) > 1 || len(heads) == 1 && heads[0].JobID != soon {
		f.Errorf("heads %v hold a job whose time is yet to come", heads)
	}
	f.eventually("the time of the job comes", func() bool { return len(f.heads()) == 1 })
	f.equal("heads", []store.Delivery{{JobID: soon, Generation: 1, Queue: jobs.DefaultQueue}}, f.heads())
	f.claim(soon)
	f.refuse(f.request(far), store.RefusedStale)
}

func testThousandAccepts(f *fixture) {
	const callers, each = 50, 20
	var failed atomic.Int64
	together(callers, func(c int) {
		for i := range each {
			u := upload(inQueue(fmt.Sprintf("queue-%d", c%2)))
			if accepted, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{u}); err != nil || len(accepted) != 1 || accepted[0].JobID != u.Job.ID {
				failed.Add(1)
				f.Errorf("call %d of caller %d: %+v, %v", i, c, accepted, err)
			}
		}
	})
	if failed.Load() > 0 {
		return
	}
	if n := len(f.list(store.JobFilter{})); n != callers*each {
		f.Errorf("%d jobs are listed, want %d", n, callers*each)
	}
	for _, q := range f.queues() {
		f.equal("ready jobs of "+q.Name, store.Count{N: callers * each / 2}, q.Ready)
	}
	if n := len(f.heads()); n != callers*each {
		f.Errorf("%d heads, want %d", n, callers*each)
	}
}

// testAcceptCallersWhoGaveUp mixes calls whose context ends into groups: the others get their
// answers, and what those wanted happened wholly or not at all.
func testAcceptCallersWhoGaveUp(f *fixture) {
	const n = 80
	units := make([][]store.Upload, n)
	errs := make([]error, n)
	for i := range units {
		units[i] = []store.Upload{upload(), upload()}
	}
	together(n, func(i int) {
		ctx, cancel := f.impatient(i%2 == 0, time.Duration(i)*100*time.Microsecond)
		defer cancel()
		_, errs[i] = f.s.Accept(ctx, f.tenant, units[i])
	})
	for i, err := range errs {
		if i%2 == 1 && err != nil {
			f.Errorf("unit %d, whose caller waited: %v", i, err)
		}
		var found [2]bool
		for k, u := range units[i] {
			_, jobErr := f.s.Job(f.ctx(), f.tenant, u.Job.ID)
			found[k] = jobErr == nil
		}
		if found[0] != found[1] || err == nil && !found[0] {
			f.Errorf("unit %d (error %v) is there in part: %v", i, err, found)
		}
	}
}

func testAcceptNothing(f *fixture) {
	accepted, err := f.s.Accept(f.ctx(), f.tenant, nil)
	if err != nil || len(accepted) != 0 {
		f.Errorf("no uploads gave %+v, %v", accepted, err)
	}
}
