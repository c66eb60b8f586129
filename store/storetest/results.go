package storetest

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func resultTests() []test {
	return []test{
		{"OnlyTheCulpritFails", testOnlyTheCulpritFails},
		{"WhatADatabaseMayRefuse", testDoubtfulResults},
		{"TakesNothingAlong", testInvalidResultTakesNothingAlong},
		{"BadArtifactIsNoNeighboursFault", testBadArtifactAmongGoodEnds},
	}
}

// forbidden results are refused by jobs.CheckResult.
func forbidden() map[string]json.RawMessage {
	return map[string]json.RawMessage{
		"NUL":           json.RawMessage(`{"a":"\u0000"}`),
		"NUL in a key":  json.RawMessage(`{"\u0000":1}`),
		"invalid UTF-8": json.RawMessage("{\"a\":\"\xff\xfe\"}"),
		"raw NUL":       json.RawMessage("{\"a\":\"\x00\"}"),
		"not JSON":      json.RawMessage(`{"a":`),
		"two values":    json.RawMessage(`{} {}`),
		"too large":     json.RawMessage(`"` + strings.Repeat("x", jobs.MaxResult) + `"`),
	}
}

// doubtful results are good JSON that some databases cannot hold.
func doubtful() map[string]json.RawMessage {
	const deep = 9000
	return map[string]json.RawMessage{
		"lone surrogate": json.RawMessage(`{"a":"\ud800"}`),
		"half a pair":    json.RawMessage(`["\udc00\ud800"]`),
		"huge exponent":  json.RawMessage(`{"a":1e200000}`),
		"tiny exponent":  json.RawMessage(`{"a":1e-200000}`),
		"deep nesting":   json.RawMessage(strings.Repeat("[", deep) + strings.Repeat("]", deep)),
		"deep objects":   json.RawMessage(strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep)),
	}
}

// endTogether ends one run with each of the results, and as many good ones, all at once. It
// returns what became of the suspects, by name, after checking that the others succeeded.
func (f *fixture) endTogether(results map[string]json.RawMessage) map[string]store.RunEnd {
	f.Helper()
	var ends []store.RunEnd
	suspects := map[string]store.RunEnd{}
	for name, result := range results {
		end := finish(f.claim(f.accept()), jobs.RunSucceeded)
		end.Result = result
		suspects[name] = end
		ends = append(ends, end)
		for range 3 {
			ends = append(ends, finish(f.claim(f.accept()), jobs.RunSucceeded))
		}
	}
	together(len(ends), func(i int) {
		if state, err := f.s.End(f.ctx(), ends[i]); err != nil || i%4 != 0 && state != jobs.Succeeded {
			f.Errorf("end %d: %s, %v", i, state, err)
		}
	})
	for i, end := range ends {
		if i%4 != 0 {
			f.state(end.JobID, jobs.Succeeded)
		}
	}
	return suspects
}

// invalid checks that a job failed for its result, and that repeating the end tells the same.
func (f *fixture) invalid(name string, end store.RunEnd) {
	f.Helper()
	job := f.job(end.JobID)
	if job.State != jobs.Failed || job.Error == nil || job.Error.Code != jobs.CodeInvalidResult || job.Error.Message == "" ||
		len(job.Result) != 0 || job.Failures != 1 {
		f.Errorf("%s: the job is %s, error %v, %d failures, result of %d bytes", name, job.State, job.Error, job.Failures, len(job.Result))
	}
	if a := f.only(end.JobID); a.Outcome != jobs.RunFailed || a.Error == nil || a.Error.Code != jobs.CodeInvalidResult {
		f.Errorf("%s: the run ended %s, %v", name, a.Outcome, a.Error)
	}
	before := f.trace(end.JobID)
	state, err := f.s.End(f.ctx(), end)
	if err != nil || state != jobs.Failed {
		f.Errorf("%s again: %s, %v", name, state, err)
	}
	f.unchanged(name+" again", before)
}

func testOnlyTheCulpritFails(f *fixture) {
	for name, end := range f.endTogether(forbidden()) {
		f.invalid(name, end)
	}
}

// testDoubtfulResults: what one database holds and another does not is either kept or that job's
// own failure.
func testDoubtfulResults(f *fixture) {
	for name, end := range f.endTogether(doubtful()) {
		if f.job(end.JobID).State == jobs.Succeeded {
			if result := f.job(end.JobID).Result; !json.Valid(result) {
				f.Errorf("%s: kept as %.80q", name, result)
			}
			continue
		}
		f.invalid(name, end)
	}
}

func testInvalidResultTakesNothingAlong(f *fixture) {
	for name, result := range map[string]json.RawMessage{
		"NUL": json.RawMessage(`"\u0000"`), "lone surrogate": json.RawMessage(`"\ud800"`),
	} {
		id := f.accept()
		run := f.claim(id)
		key := uuid.New()
		f.ok(f.s.HoldBlob(f.ctx(), id, run.Claim, key))
		end := finish(run, jobs.RunSucceeded)
		end.Result = result
		end.Artifacts = []store.NewArtifact{artifact("small"), blobArtifact("large", key, time.Now())}
		end.Children = []store.Upload{upload()}
		state, err := f.s.End(f.ctx(), end)
		f.ok(err)
		if state != jobs.Failed {
			f.equal(name+": a database that holds it keeps all of it", jobs.Waiting, state)
			continue
		}
		f.invalid(name, end)
		if job := f.job(id); len(job.Artifacts) != 0 || job.Children.Total() != 0 {
			f.Errorf("%s: the failed job has %+v, %+v", name, job.Artifacts, job.Children)
		}
		f.absent(end.Children...)
		dropped, err := f.s.DropHolds(f.ctx(), 0, 10)
		f.ok(err)
		f.equal(name+": blobs of the run that are nobody's now", []uuid.UUID{key}, dropped)
	}
}

// testBadArtifactAmongGoodEnds: an end whose artifact no database takes is refused or fails its job;
// those that came with it succeed.
func testBadArtifactAmongGoodEnds(f *fixture) {
	const n = 40
	ends := make([]store.RunEnd, n)
	for i, id := range f.acceptMany(n) {
		ends[i] = finish(f.claim(id), jobs.RunSucceeded)
		ends[i].Artifacts = []store.NewArtifact{artifact("a")}
		if i%10 == 7 {
			ends[i].Artifacts = append(ends[i].Artifacts, artifact("a"))
		}
	}
	errs := make([]error, n)
	together(n, func(i int) { _, errs[i] = f.s.End(f.ctx(), ends[i]) })
	for i, end := range ends {
		job := f.job(end.JobID)
		if i%10 != 7 {
			if errs[i] != nil || job.State != jobs.Succeeded || len(job.Artifacts) != 1 {
				f.Errorf("good end %d: %v, the job is %s", i, errs[i], job.State)
			}
			continue
		}
		if job.State == jobs.Succeeded || len(job.Artifacts) != 0 {
			f.Errorf("an end with one name twice: %v, the job is %s with %+v", errs[i], job.State, job.Artifacts)
		}
		if errs[i] != nil && f.end(store.RunRef{JobID: end.JobID, Claim: end.Claim}, jobs.RunFailed) != jobs.Failed {
			f.Error("an end that was refused is not the run's last word")
		}
	}
}
