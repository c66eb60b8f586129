package integration

import (
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
)

// Keys, as an operator makes and revokes them beside a server that runs.
func TestKeys(t *testing.T) {
	t.Parallel()
	bin, addr, data := build("cmd/leat"), testserver.FreeAddr(t), t.TempDir()
	up := system.Start(t, "leat", bin, []string{"up", "--auth", "keys", "--listen", addr, "--admin-listen", "off", "--data", data}, nil)
	up.WaitMessage("worker is ready", patience)
	c := cli{t, bin, "http://" + addr, nil}
	file := writeFile(t, "one line\n", 1).Name()
	if _, code := c.run("upload", file); code != 1 {
		t.Errorf("upload without a key: code %d, want 1", code)
	}
	key, code := c.run("keys", "create", "--data", data, "--tenant", "acme", "--label", "website", "--scopes", "upload,read")
	if key = strings.TrimSpace(key); code != 0 || !strings.HasPrefix(key, "leat_") {
		t.Fatalf("keys create: code %d, %q", code, key)
	}
	c.env = []string{"LEAT_API_KEY=" + key}
	out, code := c.run("upload", file, "--wait", "--json")
	var job struct{ State string }
	if err := json.Unmarshal([]byte(out), &job); err != nil || code != 0 || job.State != "succeeded" {
		t.Fatalf("upload with a key: code %d, %v: %s", code, err, out)
	}
	if _, code := c.run("queues", "pause", "default"); code != 1 {
		t.Errorf("pause without the scope: code %d, want 1", code)
	}
	if out, _ := c.run("keys", "list", "--data", data, "--prefix", key[:10]); !strings.Contains(out, "acme") || !strings.Contains(out, "website") || strings.Contains(out, key) {
		t.Errorf("keys list:\n%s", out)
	}
	if out, code := c.run("keys", "revoke", key[:13], "--data", data); code != 0 || !strings.Contains(out, "revoked") {
		t.Errorf("keys revoke: code %d, %s", code, out)
	}
	system.Poll(t.Context(), t, "the key opens nothing any more", patience, 200*time.Millisecond, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/v1/jobs", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res.Body.Close() == nil && res.StatusCode == http.StatusUnauthorized
	})
	if out, _ := c.run("audit", "--data", data); !strings.Contains(out, "key_created") || !strings.Contains(out, "key_revoked") {
		t.Errorf("audit:\n%s", out)
	}
	if up.Says(key[14:]) {
		t.Error("the log shows a key's secret")
	}
}

// Nobody is let in without a key by accident.
func TestWithoutKeysOnlyThisMachineIsServed(t *testing.T) {
	t.Parallel()
	bin := build("cmd/leat")
	out, err := exec.CommandContext(t.Context(), bin, "up", "--listen", "0.0.0.0:0", "--admin-listen", "off", "--data", t.TempDir()).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "--auth keys") {
		t.Errorf("up on all addresses: %v\n%s", err, out)
	}
}

// Keys of an installation on Postgres, of which several apis know.
func TestKeysOnPostgres(t *testing.T) {
	t.Parallel()
	r := newPlainRig(t)
	first, second := r.API(system.With("LEAT_AUTH", "keys")), r.API(system.With("LEAT_AUTH", "keys"))
	c := cli{t, build("cmd/leat"), first.URL, nil}
	key, code := c.run("keys", "create", "--database-url", r.DatabaseURL, "--scopes", "upload,read,operate")
	if code != 0 {
		t.Fatalf("keys create: code %d", code)
	}
	file := writeFile(t, "one line\n", 1).Name()
	for _, api := range []*system.API{first, second} {
		c.base, c.env = api.URL, nil
		if _, code := c.run("upload", file); code != 1 {
			t.Errorf("%s: upload without a key: code %d", api.Name, code)
		}
		c.env = []string{"LEAT_API_KEY=" + strings.TrimSpace(key)}
		if out, code := c.run("upload", file); code != 0 {
			t.Errorf("%s: upload with a key: code %d, %s", api.Name, code, out)
		}
	}
}

// Settings of tenants, as an operator shows and changes them.
func TestTenants(t *testing.T) {
	t.Parallel()
	bin, data := build("cmd/leat"), t.TempDir()
	up := system.Start(t, "leat", bin, []string{"up", "--listen", testserver.FreeAddr(t), "--admin-listen", "off", "--data", data}, nil)
	up.WaitMessage("worker is ready", patience)
	c := cli{t, bin, "", nil}
	tenants := func(wantCode int, args ...string) (settings struct {
		Tenant      string
		Weight      int
		JobsWaiting int `json:"jobs_waiting"`
		Burst       int
		BytesPerDay int64     `json:"bytes_per_day"`
		UpdatedAt   time.Time `json:"updated_at"`
	},
	) {
		out, code := c.run(append([]string{"tenants", "--data", data, "--json"}, args...)...)
		if code != wantCode {
			t.Errorf("tenants %v: code %d, want %d: %s", args, code, wantCode, out)
		}
		if out != "" {
			if err := json.Unmarshal([]byte(out), &settings); err != nil {
				t.Fatalf("tenants %v: %v: %s", args, err, out)
			}
		}
		return settings
	}
	if got := tenants(0, "show", "acme"); got.Weight != 1 || !got.UpdatedAt.IsZero() {
		t.Errorf("before: %+v", got)
	}
	tenants(0, "set", "acme", "--weight", "3", "--jobs-waiting", "1000")
	tenants(0, "set", "acme", "--burst", "5", "--bytes-per-day", "20GiB")
	tenants(2, "set", "acme", "--file-bytes", "much")
	tenants(2, "set", "acme", "--weight", "0")
	tenants(2, "set", "Acme")
	if got := tenants(0, "list"); got.Tenant != "acme" || got.Weight != 3 || got.JobsWaiting != 1000 || got.Burst != 5 || got.BytesPerDay != 20<<30 || got.UpdatedAt.IsZero() {
		t.Errorf("after: %+v", got)
	}
	tenants(0, "set", "acme", "--jobs-waiting", "0")
	if got := tenants(0, "show", "acme"); got.JobsWaiting != 0 || got.Weight != 3 {
		t.Errorf("with the server's limit: %+v", got)
	}
	if out, _ := c.run("audit", "--data", data); !strings.Contains(out, "tenant_set") {
		t.Errorf("audit:\n%s", out)
	}
}
