package testserver

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority signs certificates for servers of this machine.
type Authority struct {
	tb   TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64 // serial number
}

// NewAuthority makes an authority that nobody trusts yet.
func NewAuthority(tb TB) *Authority {
	tb.Helper()
	a := &Authority{tb: tb}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "tests"}, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.sign(template)
	return a
}

// Pool trusts the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// PEM is the authority's own certificate.
func (a *Authority) PEM() []byte { return encode("CERTIFICATE", a.cert.Raw) }

// Issue makes a certificate for this machine, and its key.
func (a *Authority) Issue(expires time.Time) (cert, key []byte) {
	a.tb.Helper()
	signed, private := a.sign(&x509.Certificate{
		NotAfter: expires, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.tb.Fatalf("testserver: certificate: %v", err)
	}
	return encode("CERTIFICATE", signed.Raw), encode("PRIVATE KEY", der)
}

// IssueFiles issues a certificate that holds for an hour into a folder, as tls.crt and tls.key.
func (a *Authority) IssueFiles(dir string) (cert, key string) {
	a.tb.Helper()
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	certText, keyText := a.Issue(time.Now().Add(time.Hour))
	for path, text := range map[string][]byte{cert: certText, key: keyText} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			a.tb.Fatalf("testserver: certificate: %v", err)
		}
	}
	return cert, key
}

// sign makes a key, and has the authority sign for it; the first signs for itself.
func (a *Authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.tb.Helper()
	a.last++
	template.SerialNumber, template.NotBefore = big.NewInt(a.last), time.Now().Add(-time.Hour)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.tb.Fatalf("testserver: certificate: %v", err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.tb.Fatalf("testserver: certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.tb.Fatalf("testserver: certificate: %v", err)
	}
	return cert, key
}

func encode(kind string, der []byte) []byte {
	var text bytes.Buffer
	_ = pem.Encode(&text, &pem.Block{Type: kind, Bytes: der}) // a buffer takes everything
	return text.Bytes()
}
