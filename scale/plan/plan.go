// Package plan says what a system will need, month by month, as its load grows: workers, Redis'
// memory, Postgres' connections and disk, blobs. It is arithmetic on a rate and on what one job was
// measured to take.
//
// It imports nothing of Leat, reads no clock and does no I/O.
package plan

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Input is what is known of the load and of how it is served.
type Input struct {
	Rate   float64 // jobs per second now
	Growth float64 // each month: 0.2 for a fifth more
	Months int     // how many to look ahead

	// PerWorker is how many jobs per second a worker was measured to do. When 0, there are as many
	// slots as let 95 of 100 jobs begin within Target.
	PerWorker float64
	Service   time.Duration // that a job takes in its slot
	Target    time.Duration
	Slots     int     // jobs that a worker runs at once
	Headroom  float64 // share of workers to add: 0.2 for a fifth
	Queues    int     // that are in use

	PerAPI      float64 // uploads per second that an api process takes
	MinAPI      int     // api processes that there are at least
	Scalers     int
	Connections int // of each process to Postgres, at most

	FileSize     int64         // bytes of an upload, on average
	ArtifactSize int64         // bytes that a job makes, on average
	InlineLimit  int64         // bytes up to which a file lies in Postgres
	Keep         time.Duration // for which ended jobs are kept
}

// Default is a system with the defaults of the programs and of deploy/k8s.
func Default() Input {
	return Input{
		Growth: 0, Months: 6,
		Service: time.Second, Target: 30 * time.Second, Headroom: 0.2, Queues: 1,
		Slots:       10,                  // concurrency
		Connections: 16,                  // database-max-conns
		InlineLimit: 16 << 10,            // inline-limit
		Keep:        30 * 24 * time.Hour, // keep-jobs
		MinAPI:      3, Scalers: 2,       // deploy/k8s/base
		// docs/bench.md: uploads of 4 KiB accepted by one process on two cores, which it shared with
		// Postgres, Redis, a worker and the load generator.
		PerAPI:   2561,
		FileSize: 1 << 20,
	}
}

// What was measured: 40,000 jobs of the kind inspect, each accepted, claimed and ended once, on
// PostgreSQL 15; the tables and indexes after VACUUM, divided by the jobs.
const (
	// jobBytes: jobs 1,070 (a result of 240 bytes in it), three events 524, files 247, attempts 191,
	// blobs 94.
	jobBytes = 2122
	// inlineFactor is what content in the row takes, per byte: at 4 KiB, 5,747 bytes for the file, of
	// which 247 are not content.
	inlineFactor = 1.343
	// walBytes is PostgreSQL's max_wal_size.
	walBytes = 1 << 30
)

// What was measured of Redis 7.0: used_memory between 4,500 and 12,500 tasks that were enqueued,
// divided by their number; and before any.
const (
	taskBytes  = 557
	emptyBytes = 1_186_632
	// connectionBytes is a client's two buffers: PROTO_IOBUF_LEN and PROTO_REPLY_CHUNK_BYTES in
	// Redis' source.
	connectionBytes = 32 << 10
	// connectionsEach is go-redis' pool at most: ten for each processor, on two.
	connectionsEach = 20
)

// The window: how many jobs of a queue dispatch keeps in Redis, the backlog being in Postgres.
const (
	windowLeast    = 500
	windowPerSlots = 4
)

// Month is what is needed at the end of a month; month 0 is now.
type Month struct {
	Month int     `json:"month"`
	Rate  float64 `json:"rate_per_s"`

	Workers int `json:"workers"` // that the rate takes
	Buffer  int `json:"buffer"`  // and those to add as headroom
	APIs    int `json:"apis"`

	RedisBytes          int64 `json:"redis_bytes"`
	PostgresConnections int   `json:"postgres_connections"`
	// PostgresBytes and BlobBytes are once as much is deleted as is added: as though the month's
	// rate had been the same for as long as jobs are kept.
	PostgresBytes   int64 `json:"postgres_bytes"`
	BlobBytesPerDay int64 `json:"blob_bytes_per_day"`
	BlobBytes       int64 `json:"blob_bytes"`
}

// Months plans from now to the last month. Its errors name each input that makes no sense.
func Months(in Input) ([]Month, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	list := make([]Month, 0, in.Months+1)
	for m := range in.Months + 1 {
		month := in.at(in.Rate * math.Pow(1+in.Growth, float64(m)))
		month.Month = m
		list = append(list, month)
	}
	return list, nil
}

// at is what a rate takes.
func (in Input) at(rate float64) Month {
	workers := in.workers(rate)
	m := Month{
		Rate: rate, Workers: workers, Buffer: ceil(float64(workers) * in.Headroom),
		APIs: max(ceil(rate/in.PerAPI), in.MinAPI),
	}
	fleet := m.Workers + m.Buffer
	slots := fleet * in.Slots
	processes := fleet + m.APIs + in.Scalers
	tasks := in.Queues*max(windowLeast, windowPerSlots*slots) + slots // and those that run
	m.RedisBytes = emptyBytes + int64(tasks)*taskBytes + int64(processes)*connectionsEach*connectionBytes
	m.PostgresConnections = processes * in.Connections

	kept := rate * in.Keep.Seconds()
	each := float64(jobBytes)
	blobs := float64(in.ArtifactSize)
	if in.FileSize <= in.InlineLimit {
		each += inlineFactor * float64(in.FileSize)
	} else {
		blobs += float64(in.FileSize)
	}
	const day = 24 * 3600
	m.PostgresBytes = walBytes + whole(kept*each)
	m.BlobBytesPerDay = whole(rate * day * blobs)
	m.BlobBytes = whole(kept * blobs)
	return m
}

// workers is how many the rate takes.
func (in Input) workers(rate float64) int {
	if in.PerWorker > 0 {
		return ceil(rate / in.PerWorker)
	}
	return ceil(slots(rate*in.Service.Seconds(), in.Target.Seconds()/in.Service.Seconds()) / float64(in.Slots))
}

func (in Input) check() error {
	var errs []error
	positive := func(name string, v float64) {
		if !(v > 0) || math.IsInf(v, 0) {
			errs = append(errs, fmt.Errorf("plan: %s: %g is not above 0", name, v))
		}
	}
	between := func(name string, v, least, most float64) {
		if !(least <= v && v <= most) {
			errs = append(errs, fmt.Errorf("plan: %s: %g is not between %g and %g", name, v, least, most))
		}
	}
	between("rate", in.Rate, 0, 1e6)
	between("growth", in.Growth, -0.99, 10)
	between("months", float64(in.Months), 0, 120)
	positive("service time", in.Service.Seconds())
	positive("target", in.Target.Seconds())
	between("slots", float64(in.Slots), 1, 1e5)
	between("rate of one worker", in.PerWorker, 0, 1e6)
	between("headroom", in.Headroom, 0, 10)
	between("queues", float64(in.Queues), 1, 1e4)
	positive("rate of one api", in.PerAPI)
	between("apis", float64(in.MinAPI), 0, 1e5)
	between("scalers", float64(in.Scalers), 0, 100)
	between("connections of a process", float64(in.Connections), 1, 1e4)
	between("size of a file", float64(in.FileSize), 0, 1<<50)
	between("size of artifacts", float64(in.ArtifactSize), 0, 1<<50)
	between("inline limit", float64(in.InlineLimit), 0, 1<<30)
	between("time for which jobs are kept", in.Keep.Hours(), 1, 100*366*24)
	return errors.Join(errs...)
}

// ceil is how many are enough. Products of floats may be a hair above a whole number.
func ceil(f float64) int {
	const hair = 1e-9
	return int(min(math.Ceil(f-hair*max(f, 1)), math.MaxInt32))
}

// whole is a number of bytes, or the largest there is.
func whole(f float64) int64 {
	if f >= math.MaxInt64/2 {
		return math.MaxInt64 / 2
	}
	return int64(math.Round(f))
}
