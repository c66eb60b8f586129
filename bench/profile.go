package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
)

// profileTime is how long the processor of a process is sampled, from its start on.
const profileTime = 10 * time.Second

// api starts an api to be measured.
func (b *bench) api(s *system.System, opts ...system.Option) *system.API {
	opts, admin := b.measured(opts)
	p := s.API(opts...)
	b.profile(p.Process, admin)
	return p
}

// worker starts a worker to be measured.
func (b *bench) worker(s *system.System, opts ...system.Option) *system.Process {
	opts, admin := b.measured(opts)
	p := s.StartWorker(opts...)
	b.profile(p, admin)
	return p
}

// measured adds what a process gets that is measured: silence, since a line for each job would be
// measured with it, and when profiles are wanted, an address to take them from.
func (b *bench) measured(opts []system.Option) ([]system.Option, string) {
	opts = append(opts, system.With("LEAT_LOG_LEVEL", "warn"))
	if b.profiles == "" {
		return opts, ""
	}
	admin := testserver.FreeAddr(b)
	return append(opts, system.With("LEAT_ADMIN_LISTEN", admin)), admin
}

// profile takes a profile in the background, which the measurement's scope waits for.
func (b *bench) profile(p *system.Process, admin string) {
	if admin == "" {
		return
	}
	system.Poll(b.Context(), b, p.Name+" can be profiled", 30*time.Second, 20*time.Millisecond, func() bool {
		conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", admin)
		return err == nil && conn.Close() == nil
	})
	path := filepath.Join(b.profiles, b.name+"-"+p.Name+".pprof")
	b.background.Go(func() {
		if err := fetch(b, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", admin, profileTime.Seconds()), path); err != nil {
			b.Errorf("profile %s: %v", p.Name, err)
		}
	})
}

func fetch(b *bench, url, path string) error {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return f.Close()
}
