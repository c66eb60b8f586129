package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

// shutdownMargin is how much longer than a drain asynq waits for handlers. It
// gives a handler's task back even while the handler is ending.
const shutdownMargin = 10 * time.Second

// Server takes deliveries from Redis and gives them to a handler. Its methods are
// safe for concurrent use.
type Server struct {
	conn    *Conn
	handler Handler
	log     *slog.Logger
	asynq   []*asynq.Server
	queues  int
	budget  float64 // polls a second of the fleet
	gate    *gate
	quit    chan struct{} // closed when a shutdown begins
	down    chan struct{} // closed when it is complete

	mu      sync.Mutex
	started bool
	ending  bool
}

// NewServer makes a Server that takes nothing until it is started. Its errors say
// what is wrong with the options.
func NewServer(conn *Conn, options ServerOptions) (*Server, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		conn:    conn,
		handler: o.Handler,
		log:     o.Logger,
		queues:  len(o.Queues),
		budget:  o.PollBudget,
		gate:    newGate(),
		quit:    make(chan struct{}),
		down:    make(chan struct{}),
	}
	client := gatedClient{UniversalClient: conn.redis, gate: s.gate, outage: &outage{log: o.Logger}, quit: s.quit}
	config := asynqConfig(o)
	n := min(o.Servers, o.Slots)
	for i := range n {
		config.Concurrency = share(o.Slots, n, i)
		s.asynq = append(s.asynq, asynq.NewServerFromRedisClient(client, config))
	}
	return s, nil
}

// asynqConfig is what the asynq servers have in common.
func asynqConfig(o ServerOptions) asynq.Config {
	return asynq.Config{
		Queues:            o.Queues,
		TaskCheckInterval: o.CheckInterval,
		ShutdownTimeout:   o.DrainTimeout + shutdownMargin,
		Logger:            asynqLog{newLimitedLog("asynq", o.Logger)},
		LogLevel:          asynq.InfoLevel,
		// A task that comes back was lost, not failed: nothing is counted, and there
		// is nothing to wait for.
		IsFailure:      func(error) bool { return false },
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return 0 },
	}
}

// Start begins to take deliveries. Redis may be away: the server waits for it. It
// fails if the server was started before or was shut down.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.ending {
		return errors.New("queue: a server can be started only once")
	}
	s.started = true
	for _, a := range s.asynq {
		if err := a.Start(asynq.HandlerFunc(s.process)); err != nil {
			return fmt.Errorf("queue: start: %w", err)
		}
		s.conn.serve(1)
	}
	return nil
}

// Running returns how many deliveries are with the handler.
func (s *Server) Running() int { return s.gate.inside() }

// SetFleet tells how many processes poll, this one included, so that together they
// keep within the budget.
func (s *Server) SetFleet(processes int) { s.gate.setPace(pace(processes, s.queues, s.budget)) }

// Cordon stops taking deliveries; running handlers go on. After it has returned
// Running only falls, until Uncordon. It waits for the deliveries that were just
// being taken to reach the handler; those that have not when ctx ends, or after
// five seconds, are let go, and come again with the next full round of dispatch.
// Cordoning twice is cordoning once.
func (s *Server) Cordon(ctx context.Context) {
	s.gate.close(ctx)
}

// Uncordon takes deliveries again, unless a shutdown has begun.
func (s *Server) Uncordon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ending {
		s.gate.open()
	}
}

// Shutdown cordons the server for good, waits until all handlers have returned
// and ends everything that Start began. When ctx ends before, it returns an error
// that wraps ctx's; the shutdown goes on, and Shutdown may be called again to wait
// for it. Handlers are not told: that is their owner's to do.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.ending {
		s.ending = true
		close(s.quit)
		go s.shutdown(ctx)
	}
	s.mu.Unlock()
	select {
	case <-s.down:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("queue: shutdown is not complete: %w", ctx.Err())
	}
}

func (s *Server) shutdown(ctx context.Context) {
	defer close(s.down)
	s.gate.close(ctx)
	var ends sync.WaitGroup
	for _, a := range s.asynq {
		ends.Go(a.Shutdown)
	}
	ends.Wait()
	s.gate.handlers.Wait() // asynq may have given up on some
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		s.conn.serve(-len(s.asynq))
	}
}

// process is what asynq calls for each task. It never fails: nil and RevokeTask
// both take the task out of Redis, and anything else would send it into asynq's
// retries.
func (s *Server) process(ctx context.Context, task *asynq.Task) error {
	if !s.gate.admit() {
		return asynq.RevokeTask
	}
	defer s.gate.leave()
	if task.Type() != taskType {
		s.log.ErrorContext(ctx, "task of unknown type dropped", "type", task.Type())
		return asynq.RevokeTask
	}
	d, err := parsePayload(task.Payload())
	if err != nil {
		s.log.ErrorContext(ctx, "malformed task dropped", "error", err)
		return asynq.RevokeTask
	}
	d.Queue, _ = asynq.GetQueueName(ctx) // asynq sets it in every task's context
	s.handle(context.WithoutCancel(ctx), d)
	return nil
}

// handle keeps a panic from asynq, which would retry the task.
func (s *Server) handle(ctx context.Context, d Delivery) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "handler panicked", "job_id", d.JobID, "generation", d.Generation,
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	s.handler(ctx, d)
}
