package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/client"
	"github.com/leat-dev/leat/integration/system"
)

const (
	estimateSlots = 10
	meanLength    = 500 * time.Millisecond
	followEvery   = 15 // of so many jobs, one is followed
)

// estimate measures how far what a job's stream says of its end is from what comes true, on queues that
// were idle before, and on one that has been busy for a while.
func (b *bench) estimate() {
	b.scope("burst", func(b *bench) { b.estimates("a burst of equal jobs", equal, 600, 0, 0, 0) })
	b.scope("mixed", func(b *bench) { b.estimates("a burst of mixed jobs", mixed, 600, 0, 0, 0) })
	b.scope("doubled", func(b *bench) { b.estimates("a fleet that doubles after 10 s", equal, 600, 0, 10*time.Second, 0) })
	b.scope("steady", func(b *bench) { b.estimates("a steady load of mixed jobs", mixed, 200, 0, 0, 90*time.Second) })
	b.scope("shared", func(b *bench) { b.estimates("a burst behind another tenant's 10,000", equal, 300, 10_000, 0, 0) })
}

func equal() time.Duration { return meanLength }

// mixed lengths have the same mean, and a few are ten times as long as most.
func mixed() time.Duration {
	if rand.IntN(10) == 0 {
		return 10 * meanLength / 2
	}
	return meanLength * 5 / 9 // 0.9 of them, and 0.1 of five times the mean
}

// foretold is an estimate beside what came true.
type foretold struct{ estimate, actual time.Duration }

// estimates puts jobs into the queue: n at once, then as many as are worked off, for a time; of that, the
// estimates of the last third are counted. Another tenant may have jobs waiting, and a second worker join.
func (b *bench) estimates(name string, length func() time.Duration, n, others int, joins, steady time.Duration) {
	s := b.install()
	api := b.api(s)
	b.worker(s, system.With("LEAT_CONCURRENCY", fmt.Sprint(estimateSlots)))
	c, err := client.New(api.URL, client.Options{})
	if err != nil {
		b.Fatalf("client: %v", err)
	}
	if others > 0 {
		b.fill(s, "heavy", others, fmt.Sprintf(`{"millis":%d}`, length().Milliseconds()))
		b.busy(s, estimateSlots)
	}
	f := &forecasts{bench: b, client: c, sender: system.Client(), system: s, api: api, length: length}
	began := time.Now()
	var putting errgroup.Group
	putting.SetLimit(16)
	for i := range n {
		putting.Go(func() error { return f.put(i, steady == 0) })
	}
	if err := putting.Wait(); err != nil {
		b.Fatalf("upload: %v", err)
	}
	if joins > 0 {
		<-time.After(joins - time.Since(began))
		b.worker(s, system.With("LEAT_CONCURRENCY", fmt.Sprint(estimateSlots)))
	}
	arrivals := time.NewTicker(meanLength / estimateSlots * 20 / 19) // a little slower than they are done
	defer arrivals.Stop()
	for i := 0; time.Since(began) < steady; i++ {
		<-arrivals.C
		if err := f.put(i, time.Since(began) > steady*2/3); err != nil {
			b.Fatalf("upload: %v", err)
		}
	}
	f.followers.Wait()
	f.report(name)
}

// forecasts are the estimates of a measurement.
type forecasts struct {
	*bench
	client *client.Client
	sender *http.Client
	system *system.System
	api    *system.API
	length func() time.Duration

	followers sync.WaitGroup
	mu        sync.Mutex
	made      []foretold
	unknown   int
}

// put uploads a job, and follows it if it is one of those that count.
func (f *forecasts) put(i int, counts bool) error {
	params := fmt.Sprintf(`{"millis": %d}`, f.length().Milliseconds())
	up, err := f.system.Upload(f.Context(), f.sender, f.api.URL, "work", params, []byte("a small file"))
	if err != nil {
		return err
	}
	if counts && i%followEvery == 0 {
		f.followers.Go(func() { f.follow(up.JobID) })
	}
	return nil
}

// follow notes what is foretold of a job until it has ended.
func (f *forecasts) follow(id uuid.UUID) {
	type said struct {
		at       time.Time
		estimate time.Duration
	}
	var all []said
	unknown := 0
	job, err := f.client.WaitJob(f.Context(), id, client.WaitOptions{Place: func(p *wire.Place) {
		if p.Estimate == nil {
			unknown++
			return
		}
		all = append(all, said{time.Now(), time.Duration(*p.Estimate * float64(time.Second))})
	}})
	if err != nil {
		f.Errorf("follow a job: %v", err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unknown += unknown
	for _, s := range all {
		f.made = append(f.made, foretold{s.estimate, job.FinishedAt.Sub(s.at)})
	}
}

// report tells the median and the 90th percentile of the errors, by how much was still to wait.
func (f *forecasts) report(name string) {
	f.rows = append(f.rows, row{
		Name: name + ": estimates", Value: float64(len(f.made)), Unit: "made", Beside: "not known", Baseline: float64(f.unknown),
	})
	for _, span := range [][2]time.Duration{{time.Second, 5 * time.Second}, {5 * time.Second, 15 * time.Second}, {15 * time.Second, time.Hour}} {
		var errs []float64
		for _, m := range f.made {
			if m.actual >= span[0] && m.actual < span[1] {
				errs = append(errs, 100*math.Abs(float64(m.estimate-m.actual))/float64(m.actual))
			}
		}
		if len(errs) == 0 {
			continue
		}
		slices.Sort(errs)
		f.rows = append(f.rows,
			row{Name: fmt.Sprintf("… error %v before the end and more, median of %d", span[0], len(errs)), Value: errs[len(errs)/2], Unit: "%"},
			row{Name: "… p90", Value: errs[len(errs)*9/10], Unit: "%"})
	}
}
