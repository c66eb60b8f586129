package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Service is a part of a program that runs until its context ends. Run returns nil then, when it
// holds nothing any more; an error from it stops the whole program.
type Service struct {
	Name string
	Run  func(ctx context.Context) error
}

// Serve runs the services until ctx ends or one of them fails, then stops them one by one, last
// first, each to its end before the next. It returns what failed.
func Serve(ctx context.Context, log *slog.Logger, services []Service) error {
	tuneMemory(log)
	type started struct {
		name string
		stop context.CancelFunc
		done chan struct{}
	}
	var running []started
	failures := make(chan error, len(services))
	for _, s := range services {
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{})
		running = append(running, started{s.Name, stop, done})
		go func() {
			defer close(done)
			err := s.Run(own)
			switch {
			case err != nil:
				failures <- fmt.Errorf("%s: %w", s.Name, err)
			case own.Err() == nil:
				failures <- fmt.Errorf("%s: ended by itself", s.Name)
			}
		}()
	}

	var errs []error
	select {
	case <-ctx.Done():
		log.InfoContext(ctx, "stopping; a second signal kills at once")
	case err := <-failures:
		errs = append(errs, err)
		log.ErrorContext(ctx, "stopping because a part has failed", "error", err)
	}
	for _, s := range slices.Backward(running) {
		began := time.Now()
		s.stop()
		<-s.done
		log.DebugContext(ctx, "stopped", "part", s.name, "took", time.Since(began))
	}
	for len(failures) > 0 {
		errs = append(errs, <-failures)
	}
	return errors.Join(errs...)
}
