package jobs

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
)

// DefaultQueue is where jobs go whose sender and kind name no other queue.
const DefaultQueue = "default"

// Auto is the kind that a sender names, or leaves out, to have one chosen by content.
const Auto = "auto"

// Spec describes a kind of work without the code that does it, so that the upload API can check
// and document a kind while it links no decoder.
type Spec struct {
	Name    string
	Version int    // raised when the same input and parameters would give another result
	Summary string // one sentence, shown in the API's documentation

	// Params is a zero value of the struct that the kind's parameters are read into, or nil when
	// it takes none. A pointer to it may implement interface{ Validate() error }, and a *ParamError
	// from there names the field. Its JSON and doc tags describe the parameters to people.
	Params any
	// Check, where there is one, is given a pointer to the struct after its own Validate. It fills in
	// defaults and refuses what a declared kind does not take; a *ParamError names the field.
	Check func(params any) error

	MediaTypes []string // sniffed types that Auto routes here: "image/png", "image/*"
	Queue      string   // DefaultQueue when empty
	Retry      Retry    // DefaultRetry when zero
	Timeout    time.Duration
	// Concurrency bounds how many jobs of the kind run in one process at once; 0 means no bound
	// but the process's slots.
	Concurrency int
	// Reusable says that a result depends on nothing but the file's bytes and media types, the
	// parameters and Version, so that a later job on the same is given it instead of being run. The
	// result of a job that has spawned others is never given on.
	Reusable bool
	// FailWithChildren makes a job of this kind fail when a job that it spawned fails.
	FailWithChildren bool
}

// DefaultTimeout bounds one run of a kind that names no timeout.
const DefaultTimeout = 30 * time.Minute

// ParamError says which parameter is wrong, and why.
type ParamError struct {
	Field  string // JSON name; empty when the parameters as a whole are wrong
	Reason string
}

// Error names the field and the reason.
func (e *ParamError) Error() string {
	if e.Field == "" {
		return "params: " + e.Reason
	}
	return "params." + e.Field + ": " + e.Reason
}

// Canonical reads parameters as the kind takes them and gives back their one canonical form with
// its SHA-256, so that equal parameters compare equal whatever their order and spacing was. Empty
// raw stands for no parameters. Errors are *ParamError.
func (s *Spec) Canonical(raw json.RawMessage) (json.RawMessage, [32]byte, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		raw = []byte("{}")
	}
	target := any(&struct{}{})
	if s.Params != nil {
		target = reflect.New(reflect.TypeOf(s.Params)).Interface()
	}
	if err := decodeStrictly(raw, target); err != nil {
		return nil, [32]byte{}, err
	}
	if err := s.checkParams(target); err != nil {
		if p, ok := errors.AsType[*ParamError](err); ok {
			return nil, [32]byte{}, p
		}
		return nil, [32]byte{}, &ParamError{Reason: err.Error()}
	}
	canonical, err := json.Marshal(target)
	if err != nil {
		return nil, [32]byte{}, &ParamError{Reason: err.Error()}
	}
	if err := CheckResult(canonical); err != nil {
		return nil, [32]byte{}, &ParamError{Reason: strings.Replace(err.Error(), "result", "value", 1)}
	}
	return canonical, sha256.Sum256(canonical), nil
}

// checkParams asks the parameters themselves, then the kind.
func (s *Spec) checkParams(target any) error {
	if v, ok := target.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return err
		}
	}
	if s.Check != nil {
		return s.Check(target)
	}
	return nil
}

func decodeStrictly(raw json.RawMessage, target any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(target); err != nil {
		if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return &ParamError{Field: t.Field, Reason: fmt.Sprintf("want %s, got %s", t.Type, t.Value)}
		}
		return &ParamError{Reason: strings.TrimPrefix(err.Error(), "json: ")}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &ParamError{Reason: "more than one JSON value"}
	}
	return nil
}

// Specs is a set of kinds. Its methods are safe for concurrent use once it is built.
type Specs struct {
	list     []Spec
	fallback string
}

// NewSpecs checks the specs, fills in their defaults and puts them together. fallback names the
// kind that Auto falls to when no media type fits; it must be among them.
func NewSpecs(fallback string, list ...Spec) (*Specs, error) {
	s := &Specs{list: slices.Clone(list), fallback: fallback}
	for i := range s.list {
		spec := &s.list[i]
		if spec.Queue == "" {
			spec.Queue = DefaultQueue
		}
		if spec.Retry == (Retry{}) {
			spec.Retry = DefaultRetry()
		}
		if spec.Timeout == 0 {
			spec.Timeout = DefaultTimeout
		}
		if err := spec.check(); err != nil {
			return nil, fmt.Errorf("kind %q: %w", spec.Name, err)
		}
		if slices.ContainsFunc(s.list[:i], func(o Spec) bool { return o.Name == spec.Name }) {
			return nil, fmt.Errorf("kind %q is there twice", spec.Name)
		}
	}
	if _, ok := s.Get(fallback); !ok {
		return nil, fmt.Errorf("fallback kind %q is not among the kinds", fallback)
	}
	return s, nil
}

func (s *Spec) check() error {
	if err := errors.Join(CheckName(s.Name), CheckName(s.Queue), s.Retry.Validate()); err != nil {
		return err
	}
	switch {
	case s.Name == Auto:
		return errors.New("the name is reserved")
	case s.Version < 1:
		return errors.New("version must be at least 1")
	case s.Timeout < 0:
		return errors.New("timeout is negative")
	case s.Concurrency < 0:
		return errors.New("concurrency is negative")
	case s.Params != nil && reflect.TypeOf(s.Params).Kind() != reflect.Struct:
		return errors.New("params is not a struct")
	}
	return nil
}

// With gives the set in which change was applied to a copy of each spec, checked anew.
func (s *Specs) With(change func(*Spec)) (*Specs, error) {
	list := s.All()
	for i := range list {
		change(&list[i])
	}
	return NewSpecs(s.fallback, list...)
}

// Get returns the spec of a kind.
func (s *Specs) Get(kind string) (Spec, bool) {
	i := slices.IndexFunc(s.list, func(spec Spec) bool { return spec.Name == kind })
	if i < 0 {
		return Spec{}, false
	}
	return s.list[i], true
}

// All returns the specs in the order in which they were given.
func (s *Specs) All() []Spec { return slices.Clone(s.list) }

// Route chooses the kind for a file of a media type, or of several that may be said of it, the best
// first: the first kind that names it, else the first whose wildcard covers it; for none of them, the
// fallback.
func (s *Specs) Route(mediaTypes ...string) Spec {
	for _, mediaType := range mediaTypes {
		if spec, ok := s.routeOne(mediaType); ok {
			return spec
		}
	}
	spec, _ := s.Get(s.fallback)
	return spec
}

func (s *Specs) routeOne(mediaType string) (Spec, bool) {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	top, _, _ := strings.Cut(mediaType, "/")
	for _, want := range []string{mediaType, top + "/*"} {
		for _, spec := range s.list {
			if slices.Contains(spec.MediaTypes, want) {
				return spec, true
			}
		}
	}
	return Spec{}, false
}
