package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/sniff"
	"github.com/leat-dev/leat/store"
)

// Options says what an API works with. Store, Blobs, Specs and Keys are required; DefaultOptions gives
// everything else a value that is fit for production.
type Options struct {
	Store store.Tenanted
	Blobs blob.Store
	Specs *jobs.Specs

	// Auth says who may call; AuthKeys needs Keys.
	Auth Auth
	Keys Keys

	// Settings tells what was set for tenants and what all of them have waiting; by default nothing.
	// Limiter counts for their limits; nil: requests and bytes are not limited.
	Settings     Settings
	Limiter      Limiter
	TenantLimits TenantLimits

	// HandOver is told of jobs that were just committed and may run now, so that they need not
	// wait for the next look at the store. It must not block; doing nothing is allowed.
	HandOver func([]store.Delivery)
	// Ready reports whether the process can do its work. The status is filled in by the API.
	Ready func(context.Context) []wire.Check

	Logger     *slog.Logger
	AccessLog  slog.Level            // of the line that each answered request below 400 gets
	Registerer prometheus.Registerer // nil: no metrics

	Limits Limits
	// InlineLimit is the size in bytes up to which content is committed in the row instead of
	// going to the blob store.
	InlineLimit int

	// Types are the media types whose files are accepted, such as "application/pdf" or "image/*", by what
	// the bytes are; none accepts all.
	Types []string

	// CORSOrigins may call the API from a browser: "https://host[:port]", or a single "*" for all.
	// Changes that a browser sends from any other origin than the API's own are refused.
	CORSOrigins []string
	// TrustedProxies may tell, by X-Forwarded-For and X-Forwarded-Proto, for whom they call.
	TrustedProxies []netip.Prefix

	// HSTS is the Strict-Transport-Security of answers to requests that came by HTTPS, none when empty.
	HSTS string

	Version string
	Now     func() time.Time
}

// Limits bounds what a client can ask for. Each has an error code of its own.
type Limits struct {
	Body       int64 // bytes of one request's body
	File       int64 // bytes of one file
	Field      int64 // bytes of one field of a form, and of one option in the query
	PartHeader int64 // bytes of the headers of one part of a form
	Files      int   // of one form

	// A body must bring at least BodyChunk bytes, or its end, every BodyWait; slower senders are
	// cut off. A reader of an answer must take as much in the same time.
	BodyChunk int64
	BodyWait  time.Duration

	Streams    int           // of events, at the same time
	StreamBeat time.Duration // after which a stream says that it is alive, and looks whether its key still is
	Uploads    int           // at the same time
	UploadWait time.Duration // for one of these to end, before a new one is refused
	Commit     time.Duration // waited for the store to commit an upload

	// TransferExpiry is how long an upload that comes in pieces is kept after its last request. The
	// sweeper is to know the same.
	TransferExpiry time.Duration
}

// DefaultOptions returns the options that apply where nothing else is said.
func DefaultOptions() Options {
	return Options{
		Auth:        AuthKeys,
		Settings:    nothingSet{},
		HandOver:    func([]store.Delivery) {},
		Ready:       func(context.Context) []wire.Check { return nil },
		Logger:      slog.New(slog.DiscardHandler),
		AccessLog:   slog.LevelDebug,
		InlineLimit: 16 << 10,
		Limits: Limits{
			Body:       16 << 30,
			File:       16 << 30,
			Field:      64 << 10,
			PartHeader: 16 << 10,
			Files:      100,
			BodyChunk:  64 << 10,
			BodyWait:   30 * time.Second,
			Streams:    4096,
			StreamBeat: 15 * time.Second,
			Uploads:    256,
			UploadWait: 500 * time.Millisecond,
			Commit:     15 * time.Second,

			TransferExpiry: 48 * time.Hour,
		},
		HSTS:    "max-age=31536000",
		Version: "dev",
		Now:     time.Now,
	}
}

// maxInline bounds InlineLimit: rows of more than that serve nobody.
const maxInline = 1 << 20

func (o *Options) validate() error {
	missing := []struct {
		name string
		nil  bool
	}{
		{"Store", o.Store == nil},
		{"Blobs", o.Blobs == nil},
		{"Specs", o.Specs == nil},
		{"Keys", o.Keys == nil && o.Auth == AuthKeys},
		{"HandOver", o.HandOver == nil},
		{"Ready", o.Ready == nil},
		{"Logger", o.Logger == nil},
		{"Settings", o.Settings == nil},
		{"Now", o.Now == nil},
	}
	var errs []error
	for _, m := range missing {
		if m.nil {
			errs = append(errs, fmt.Errorf("%s is missing", m.name))
		}
	}
	if !slices.Contains([]Auth{AuthKeys, AuthLoopback, AuthOff}, o.Auth) {
		errs = append(errs, fmt.Errorf("Auth %q is not known", o.Auth))
	}
	if o.InlineLimit < 0 || o.InlineLimit > maxInline {
		errs = append(errs, fmt.Errorf("InlineLimit %d is not between 0 and %d", o.InlineLimit, maxInline))
	}
	errs = append(errs, o.Limits.validate()...)
	errs = append(errs, o.TenantLimits.validate())
	for _, t := range o.Types {
		errs = append(errs, checkTypePattern(t))
	}
	for _, origin := range o.CORSOrigins {
		errs = append(errs, checkOrigin(origin, len(o.CORSOrigins)))
	}
	for _, p := range o.TrustedProxies {
		if !p.IsValid() {
			errs = append(errs, errors.New("TrustedProxies holds an invalid prefix"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("api: %w", err)
	}
	return nil
}

func (l *TenantLimits) validate() error {
	if l.RequestsPerSecond < 0 || l.Burst < 0 || l.BytesPerDay < 0 || l.JobsWaiting < 0 || l.DrainWithin < 0 {
		return fmt.Errorf("TenantLimits has a negative limit: %+v", *l)
	}
	return nil
}

func (l *Limits) validate() []error {
	var errs []error
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"Limits.Body", l.Body},
		{"Limits.File", l.File},
		{"Limits.Field", l.Field},
		{"Limits.PartHeader", l.PartHeader},
		{"Limits.Files", int64(l.Files)},
		{"Limits.BodyChunk", l.BodyChunk},
		{"Limits.BodyWait", int64(l.BodyWait)},
		{"Limits.Streams", int64(l.Streams)},
		{"Limits.StreamBeat", int64(l.StreamBeat)},
		{"Limits.Uploads", int64(l.Uploads)},
		{"Limits.Commit", int64(l.Commit)},
		{"Limits.TransferExpiry", int64(l.TransferExpiry)},
	} {
		if n.value <= 0 {
			errs = append(errs, fmt.Errorf("%s must be above 0, not %d", n.name, n.value))
		}
	}
	if l.UploadWait < 0 {
		errs = append(errs, fmt.Errorf("Limits.UploadWait is negative: %v", l.UploadWait))
	}
	return errs
}

func checkTypePattern(t string) error {
	top, sub, _ := strings.Cut(t, "/")
	if top == "" || sub == "" || t != strings.ToLower(t) || strings.ContainsAny(t, "; ,") {
		return fmt.Errorf(`accepted type %q is not of the form "image/png" or "image/*"`, t)
	}
	return nil
}

func checkOrigin(origin string, among int) error {
	if origin == "*" {
		if among > 1 {
			return errors.New(`CORSOrigins: "*" must stand alone`)
		}
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Scheme+"://"+u.Host != origin {
		return fmt.Errorf(`CORSOrigins: %q is not of the form "https://host[:port]"`, origin)
	}
	return nil
}

// headSize is how much of a file is looked at before it is decided where it goes.
func (o *Options) headSize() int { return max(o.InlineLimit+1, sniff.Limit) }
