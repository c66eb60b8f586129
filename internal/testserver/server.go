package testserver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// machine is what one server runs on: a process of this machine or a container.
// Its address stays the same over stops and starts.
type machine interface {
	// start runs the program. It does not wait until the program answers.
	start(ctx context.Context) error
	// stop asks the program to end and waits until all its processes have.
	stop(ctx context.Context) error
	// kill ends all processes with SIGKILL and waits for them.
	kill(ctx context.Context) error
	// pause stops all processes with SIGSTOP, or freezes them; resume wakes them.
	pause(ctx context.Context) error
	resume(ctx context.Context) error
	// alive fails, saying why, when the program has ended by itself.
	alive(ctx context.Context) error
	// readFile and writeFiles work in the data folder, by names relative to it.
	// Writing needs the program stopped.
	readFile(ctx context.Context, name string) ([]byte, error)
	writeFiles(ctx context.Context, files map[string][]byte) error
	// log returns the end of what the program has printed.
	log(ctx context.Context) string
	// close ends the program in whatever state it is, and removes its data.
	close(ctx context.Context) error
}

// state is what a Server was last told to be.
type state int

const (
	stopped state = iota
	running
	paused
)

// Server is a private Redis or Postgres with faults on demand. A method that
// fails ends the test. Methods may be called from several goroutines; each runs
// alone.
type Server struct {
	tb   TB
	url  string
	on   machine
	ping func(ctx context.Context, url string) error

	mu    sync.Mutex
	state state
}

// launch starts the server and waits until it answers.
func launch(ctx context.Context, tb TB, url string, on machine, ping func(context.Context, string) error) (*Server, error) {
	s := &Server{tb: tb, url: url, on: on, ping: ping}
	if err := s.start(ctx); err != nil {
		ctx, cancel := cleanupContext(ctx)
		defer cancel()
		return nil, errors.Join(err, on.close(ctx))
	}
	return s, nil
}

// private makes the server end with its test, showing its log if the test failed.
func (s *Server) private() *Server {
	s.tb.Cleanup(func() {
		ctx, cancel := cleanupContext(s.tb.Context())
		defer cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.tb.Failed() {
			s.tb.Logf("log of %s:\n%s", s.url, s.on.log(ctx))
		}
		if err := s.on.close(ctx); err != nil {
			s.tb.Errorf("testserver: close: %v", err)
		}
	})
	return s
}

// URL returns where the server is: redis://… or postgres://…, with user and
// password. It never changes.
func (s *Server) URL() string { return s.url }

// Stop shuts the server down in good order: it writes what it has to disk.
func (s *Server) Stop() {
	s.tb.Helper()
	s.change("stop", func(ctx context.Context) error {
		if err := s.wake(ctx); err != nil {
			return err
		}
		s.state = stopped
		return s.on.stop(ctx)
	})
}

// Kill ends all processes of the server with SIGKILL, paused or not.
func (s *Server) Kill() {
	s.tb.Helper()
	s.change("kill", func(ctx context.Context) error {
		s.state = stopped
		return s.on.kill(ctx)
	})
}

// Start starts the server again after Stop or Kill, at the same address and with
// the data that is left on disk, and waits until it answers.
func (s *Server) Start() {
	s.tb.Helper()
	s.change("start", s.start)
}

// Pause freezes the server: its connections stay open and nothing answers.
func (s *Server) Pause() {
	s.tb.Helper()
	s.change("pause", func(ctx context.Context) error {
		if s.state != running {
			return errors.New("the server is not running")
		}
		s.state = paused
		return s.on.pause(ctx)
	})
}

// Resume ends a Pause.
func (s *Server) Resume() {
	s.tb.Helper()
	s.change("resume", s.wake)
}

// Log returns the end of what the server has printed.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on.log(s.tb.Context())
}

func (s *Server) change(what string, do func(context.Context) error) {
	s.tb.Helper()
	// Fatalf is called without the lock: outside of a test it runs the cleanups, which take it.
	if err := s.locked(do); err != nil {
		s.tb.Fatalf("testserver: %s: %v", what, err)
	}
}

func (s *Server) locked(do func(context.Context) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A cleanup of the test may call this too, when the test's context has ended.
	ctx, cancel := cleanupContext(s.tb.Context())
	defer cancel()
	return do(ctx)
}

func (s *Server) wake(ctx context.Context) error {
	if s.state != paused {
		return nil
	}
	s.state = running
	return s.on.resume(ctx)
}

func (s *Server) start(ctx context.Context) error {
	if s.state != stopped {
		return errors.New("the server is running already")
	}
	if err := s.on.start(ctx); err != nil {
		return err
	}
	s.state = running
	var last error
	err := poll(ctx, 20*time.Millisecond, func() (bool, error) {
		if err := s.on.alive(ctx); err != nil {
			return false, err
		}
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		last = s.ping(try, s.url)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the server does not answer: %w\nits log:\n%s", errors.Join(err, last), s.on.log(ctx))
	}
	return nil
}
