package integration

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
)

// The command line speaks HTTPS to leat up, whose certificate an authority of the house has signed.
func TestTLS(t *testing.T) {
	t.Parallel()
	bin, addr, admin := build("cmd/leat"), testserver.FreeAddr(t), testserver.FreeAddr(t)
	authority := testserver.NewAuthority(t)
	cert, key := authority.IssueFiles(t.TempDir())
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"up", "--listen", addr, "--admin-listen", admin, "--data", t.TempDir(), "--tls-cert", cert}
	if code := system.Start(t, "half", bin, args, nil).Wait(patience); code != 2 {
		t.Errorf("without the key, leat up ended with code %d, want 2", code)
	}
	up := system.Start(t, "leat", bin, append(args, "--tls-key", key), nil)
	up.WaitMessage("worker is ready", patience)

	c := cli{t, bin, "https://" + addr, []string{"LEAT_CA=" + ca}}
	file := writeFile(t, "one line\n", 3).Name()
	if out, code := c.run("upload", file, "--wait"); code != 0 || !strings.Contains(out, "succeeded") {
		t.Errorf("upload --wait: code %d: %s", code, out)
	}
	c.env = nil
	if out, code := c.run("upload", file, "--ca", ca); code != 0 {
		t.Errorf("upload --ca: code %d: %s", code, out)
	}
	if _, code := c.run("upload", file); code != 1 {
		t.Errorf("an authority that nobody knows: code %d, want 1", code)
	}
	if _, code := c.run("upload", file, "--ca", key); code != 2 {
		t.Errorf("a file that is no certificate: code %d, want 2", code)
	}

	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	res, err := client.Get("https://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.ProtoMajor != 2 || res.Header.Get("Strict-Transport-Security") != "" {
		t.Errorf("%s, on this machine, with the header %v (%v)", res.Proto, res.Header, err)
	}
	metrics, err := client.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	if text, err := io.ReadAll(metrics.Body); err != nil || !strings.Contains(string(text), "\nleat_tls_certificate_expiry_timestamp_seconds 1") {
		t.Errorf("no metric of when the certificate expires (%v)", err)
	}
}
