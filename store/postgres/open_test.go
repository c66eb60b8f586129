package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
)

// refused opens a store that cannot be, and returns the option that is named for it.
func refused(t *testing.T, options postgres.Options) string {
	t.Helper()
	s, err := postgres.Open(t.Context(), options)
	if err == nil {
		t.Error("opened", s.Close())
	}
	var option *postgres.OptionError
	if !errors.As(err, &option) {
		t.Fatalf("not an OptionError: %v", err)
	}
	if !strings.Contains(err.Error(), option.Option) {
		t.Errorf("%q does not name the option %s", err, option.Option)
	}
	return option.Option
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	const url = "postgres://leat@127.0.0.1:1/leat"
	for want, options := range map[string]postgres.Options{
		"URL":              {},
		"MaxConns":         {URL: url, MaxConns: -1},
		"MinConns":         {URL: url, MaxConns: 3, MinConns: 4},
		"StatementTimeout": {URL: url, StatementTimeout: -time.Second},
	} {
		if got := refused(t, options); got != want {
			t.Errorf("option %s is named, want %s", got, want)
		}
	}
}

func TestPasswordIsNeverTold(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for _, url := range []string{
		"postgres://leat:" + secret + "@127.0.0.1:port/leat",
		"postgres://leat:" + secret + "@127.0.0.1:1/leat?sslmode=maybe",
		"postgres://leat:" + secret + "/x?y@127.0.0.1/leat",
		"postgres://leat:%zz" + secret + "@127.0.0.1/leat",
		"host=127.0.0.1 password = " + secret + " port=x",
		"host=127.0.0.1 password='" + secret,
		"postgres://leat:" + secret + "@127.0.0.1:1/leat?connect_timeout=5", // nobody listens there
	} {
		_, err := postgres.Open(t.Context(), postgres.Options{URL: url})
		migrate := postgres.Migrate(t.Context(), url)
		if err == nil || migrate == nil {
			t.Fatal("no error")
		}
		for _, text := range []string{err.Error(), migrate.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%+v", migrate)} {
			if strings.Contains(text, secret) {
				t.Errorf("the password is in %q", text)
			}
		}
	}
}

func TestUnreachableIsUnavailable(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), postgres.Options{URL: "postgres://leat@127.0.0.1:1/leat"})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// TestP1AsyncCommitIsRefused: what such a server acknowledges, it may lose.
func TestP1AsyncCommitIsRefused(t *testing.T) {
	t.Parallel()
	for _, how := range []string{
		"ALTER DATABASE %s SET synchronous_commit = off",
		"ALTER ROLE CURRENT_USER IN DATABASE %s SET synchronous_commit = off",
	} {
		url := fresh(t)
		var name string
		if err := direct(t, url).QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
			t.Fatal(err)
		}
		execute(t, url, fmt.Sprintf(how, name))
		if got := refused(t, postgres.Options{URL: url}); got != "AllowAsyncCommit" {
			t.Errorf("option %s is named", got)
		}
		opened(t, postgres.Options{URL: url, AllowAsyncCommit: true})
	}
}

func TestPoolIsBounded(t *testing.T) {
	t.Parallel()
	s := opened(t, postgres.Options{URL: fresh(t), MaxConns: 3, MinConns: 1})
	ids := accept(t, s, 50)
	done := make(chan error)
	for _, id := range ids {
		go func() {
			_, err := s.Job(t.Context(), jobs.DefaultTenant, id)
			done <- err
		}()
	}
	for range ids {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if stats := s.Stats(); stats.Max != 3 || stats.Open > 3 || stats.Waits == 0 {
		t.Errorf("the pool has %+v", stats)
	}
}

// TestEveryCallHasADeadline: a server that says nothing holds nobody.
func TestEveryCallHasADeadline(t *testing.T) {
	t.Parallel()
	link := testserver.Proxy(t, fresh(t))
	s := opened(t, postgres.Options{URL: link.URL(), StatementTimeout: time.Second})
	id := accept(t, s, 1)[0]
	worker := register(t, s)
	link.Silence()
	calls := map[string]func() error{
		"ping":  func() error { return s.Ping(t.Context()) },
		"job":   func() error { _, err := s.Job(t.Context(), jobs.DefaultTenant, id); return err },
		"claim": func() error { _, err := s.Claim(t.Context(), request(worker, id)); return err },
		"end": func() error {
			_, err := s.End(t.Context(), success(store.RunRef{JobID: id, Claim: uuid.New()}))
			return err
		},
		"accept": func() error {
			_, err := s.Accept(t.Context(), jobs.DefaultTenant, []store.Upload{upload(1)})
			return err
		},
	}
	type answer struct {
		name string
		err  error
	}
	answers := make(chan answer)
	for name, call := range calls {
		go func() { answers <- answer{name, call()} }()
	}
	for range calls {
		if a := <-answers; !errors.Is(a.err, store.ErrUnavailable) {
			t.Errorf("%s: %v", a.name, a.err)
		}
	}
	link.Restore()
	eventually(t, "the store answers again", func() bool { return s.Ping(t.Context()) == nil })
}

func TestClosedStoreIsUnavailable(t *testing.T) {
	t.Parallel()
	s, err := postgres.Open(t.Context(), postgres.Options{URL: fresh(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = s.Accept(t.Context(), jobs.DefaultTenant, []store.Upload{upload(1)})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("accept: %v", err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("ping: %v", err)
	}
}

// TestTextIsKeptByteByByte: the hash of the parameters is over their bytes.
func TestTextIsKeptByteByByte(t *testing.T) {
	t.Parallel()
	s := opened(t, postgres.Options{URL: fresh(t)})
	up := upload(1)
	up.Job.Params = []byte(`{"b":1.0,"a":[1e2,"\u00e9"],"b2":{}}`)
	if _, err := s.Accept(t.Context(), jobs.DefaultTenant, []store.Upload{up}); err != nil {
		t.Fatal(err)
	}
	job, err := s.Job(t.Context(), jobs.DefaultTenant, up.Job.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(up.Job.Params), string(job.Params)); diff != "" {
		t.Error(diff)
	}
}
