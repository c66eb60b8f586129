package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
)

const (
	manyStreams = 1000
	fewEnds     = 100

	tenantEvents = "/v1/events"
)

// streams measures what open streams of events take of an api's memory, of single jobs and of all, and
// how long it takes until everybody knows when jobs end.
func (b *bench) streams() {
	s := b.install()
	admin := testserver.FreeAddr(b)
	api := s.API(system.With("LEAT_ADMIN_LISTEN", admin), system.With("LEAT_LOG_LEVEL", "warn"))
	client := system.Client()
	defer client.CloseIdleConnections()
	ids := make([]uuid.UUID, manyStreams)
	for i := range ids {
		up, err := s.Upload(b.Context(), client, api.URL, "work", "", []byte("a small file"))
		if err != nil {
			b.Fatalf("upload: %v", err)
		}
		ids[i] = up.JobID
	}

	before := b.resident(api, admin, "before")
	watch := &watch{b: b, addr: host(api.URL), news: make(chan struct{}, 1)}
	defer watch.close()
	watch.open(manyStreams, func(i int) string { return "/v1/jobs/" + ids[i].String() + "/events" })
	jobStreams := b.resident(api, admin, "of-jobs")
	watch.open(manyStreams, func(int) string { return tenantEvents })
	allStreams := b.resident(api, admin, "of-all")
	b.target(fmt.Sprintf("memory of api, %d streams of a job each", manyStreams), mib(jobStreams-before), "MiB", true, 100)
	b.target(fmt.Sprintf("… and %d of all jobs", manyStreams), mib(allStreams-before), "MiB", true, 200)

	spent := api.CPU()
	began := time.Now()
	<-time.After(10 * time.Second)
	idle := (api.CPU() - spent).Seconds() / time.Since(began).Seconds()
	b.target("… processor of api while nothing happens", 100*idle, "% of a core", true, 100)

	ended := map[uuid.UUID]time.Time{}
	for _, id := range ids[:fewEnds] {
		ended[id] = time.Now()
		if err := system.Post(b.Context(), client, api.URL+"/v1/jobs/"+id.String()+"/cancel"); err != nil {
			b.Fatalf("cancel: %v", err)
		}
	}
	own, all := watch.delays(ended)
	b.target(fmt.Sprintf("end of a job → told to its stream, %d jobs, p50", fewEnds), percentile(own, 50), "ms", true, 500)
	b.target("… p99", percentile(own, 99), "ms", true, 2000)
	b.target(fmt.Sprintf("… to %d streams of all jobs, p50", manyStreams), percentile(all, 50), "ms", true, 2000)
	b.target("… p99", percentile(all, 99), "ms", true, 5000)
	b.target("… memory of api at most", mib(api.PeakRSS()-before), "MiB", true, 200)
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// resident is what an api has resident, after a collection of garbage.
func (b *bench) resident(api *system.API, admin, name string) int64 {
	path := os.DevNull
	if b.profiles != "" {
		path = filepath.Join(b.profiles, b.name+"-"+name+".heap")
	}
	if err := fetch(b, "http://"+admin+"/debug/pprof/heap?gc=1", path); err != nil {
		b.Fatalf("collect garbage: %v", err)
	}
	return api.RSS()
}

// told is one event that a stream was told.
type told struct {
	path string
	job  uuid.UUID
	at   time.Time
}

// watch reads streams until it is closed.
type watch struct {
	b       *bench
	addr    string
	readers sync.WaitGroup
	news    chan struct{} // holds one message: an end was told

	mu    sync.Mutex
	conns []net.Conn
	ends  []told
}

// open opens n streams, which are read in the background.
func (w *watch) open(n int, path func(i int) string) {
	var opening errgroup.Group
	opening.SetLimit(16)
	for i := range n {
		opening.Go(func() error { return w.openOne(path(i)) })
	}
	if err := opening.Wait(); err != nil {
		w.b.Fatalf("open a stream: %v", err)
	}
}

func (w *watch) openOne(path string) error {
	conn, err := (&net.Dialer{}).DialContext(w.b.Context(), "tcp", w.addr)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.conns = append(w.conns, conn)
	w.mu.Unlock()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, w.addr); err != nil {
		return err
	}
	lines := bufio.NewScanner(conn)
	for !strings.HasPrefix(lines.Text(), "retry: ") { // which begins the events
		if !lines.Scan() {
			return fmt.Errorf("%s ended: %w", path, lines.Err())
		}
	}
	w.readers.Go(func() { w.read(path, lines) })
	return nil
}

// close ends the streams.
func (w *watch) close() {
	for _, conn := range w.conns {
		_ = conn.Close() // the server may have ended it
	}
	w.readers.Wait()
}

func (w *watch) read(path string, lines *bufio.Scanner) {
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok || !bytes.Contains(data, []byte(`"type":"cancelled"`)) {
			continue
		}
		at := time.Now()
		var e wire.Event
		if err := json.Unmarshal(data, &e); err != nil {
			w.b.Errorf("%s: %q: %v", path, data, err)
			return
		}
		w.mu.Lock()
		w.ends = append(w.ends, told{path, e.JobID, at})
		w.mu.Unlock()
		select {
		case w.news <- struct{}{}:
		default:
		}
	}
}

// delays waits until every stream has told of the jobs that it is to tell of, and returns how long that
// took since they ended: the streams of single jobs, and those of all.
func (w *watch) delays(ended map[uuid.UUID]time.Time) (own, all []time.Duration) {
	ctx, cancel := context.WithTimeout(w.b.Context(), time.Minute)
	defer cancel()
	want := len(ended) * (1 + manyStreams)
	for {
		w.mu.Lock()
		got := slices.Clone(w.ends)
		w.mu.Unlock()
		if len(got) >= want {
			for _, t := range got {
				delay := t.at.Sub(ended[t.job])
				if t.path == tenantEvents {
					all = append(all, delay)
				} else {
					own = append(own, delay)
				}
			}
			return own, all
		}
		select {
		case <-w.news:
		case <-ctx.Done():
			w.b.Fatalf("streams have told of %d of %d ends", len(got), want)
		}
	}
}
