package apirole

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/config"
)

// certificateEvery is how often the files of a certificate are read. It is their content that is
// compared: those who renew it replace files, links and folders, and set times as they please.
const certificateEvery = 10 * time.Second

// certificate is by what the server is known: a certificate and its key, as their files had them when
// they last fitted together.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	pair              atomic.Pointer[tls.Certificate]
	seen              [2][sha256.Size]byte // of the files, at the last look; of the goroutine that looks
}

// openCertificate reads the files. Its errors are *app.ExitError.
func openCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if _, err := c.look(); err != nil {
		return nil, &app.ExitError{Code: 2, Err: fmt.Errorf("tls-cert (%s), tls-key (%s): %w", config.EnvName("tls-cert"), config.EnvName("tls-key"), err)}
	}
	return c, nil
}

// look reads the files, and takes what they hold if it is something else than the last time.
func (c *certificate) look() (changed bool, err error) {
	cert, certErr := os.ReadFile(c.certFile)
	key, keyErr := os.ReadFile(c.keyFile)
	sums := [2][sha256.Size]byte{sha256.Sum256(cert), sha256.Sum256(key)}
	if sums == c.seen {
		return false, nil
	}
	c.seen = sums
	if err := errors.Join(certErr, keyErr); err != nil {
		return true, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return true, fmt.Errorf("%s, %s: %w", c.certFile, c.keyFile, err)
	}
	c.pair.Store(&pair)
	return true, nil
}

// run looks from time to time.
func (c *certificate) run(ctx context.Context) error {
	ticker := time.NewTicker(certificateEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		changed, err := c.look()
		expires := slog.Time("expires", c.pair.Load().Leaf.NotAfter)
		switch {
		case err != nil:
			c.log.LogAttrs(ctx, slog.LevelWarn, "the certificate's files have changed and are of no use; the old certificate stays", expires, slog.Any("err", err))
		case changed:
			c.log.LogAttrs(ctx, slog.LevelInfo, "the certificate is another now", expires)
		}
	}
}

// config is for a server that shows the certificate.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil },
	}
}

// expiry is the metric of when the certificate ends.
func (c *certificate) expiry() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "leat_tls_certificate_expiry_timestamp_seconds",
		Help: "When the certificate that is shown expires, in seconds since 1970.",
	}, func() float64 { return float64(c.pair.Load().Leaf.NotAfter.Unix()) })
}
