package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
)

// Handler does the work of one kind.
//
// Handle is given a run and answers with a value that is stored as the job's result in JSON (nil
// for none), or with an error: Permanent and Fail end the job, RetryAfter sets the wait, anything
// else is tried again after the kind's backoff. It must return soon after ctx ends: at its kind's
// timeout, when the job is cancelled, when the run has lost its claim, or at the end of a drain;
// what it returns then is not kept. A job may run more than once, so a handler must not change
// anything outside of what the run gives it unless doing so twice does no harm.
//
// Handle is called from many goroutines at once.
type Handler interface {
	Handle(ctx context.Context, run *Run) (any, error)
}

// HandlerFunc makes a function a Handler.
type HandlerFunc func(ctx context.Context, run *Run) (any, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, run *Run) (any, error) { return f(ctx, run) }

// Run is one execution of a job, as its handler sees it.
type Run struct {
	JobID   uuid.UUID
	Attempt int
	File    File
	Params  json.RawMessage // canonical, as the kind's Spec gives it
	// Input is the file: a stream, an io.ReaderAt and an io.Seeker, with its Size. It must not be
	// used after Handle has returned.
	Input *io.SectionReader

	Recorder Recorder
	Draining <-chan struct{}
}

// Recorder is how a run tells what it does before it ends. Its methods may be called from several
// goroutines. The worker implements it.
type Recorder interface {
	// Progress reports the share of the work that is done, 0 to 1. It returns at once; at most
	// about one report a second is stored.
	Progress(fraction float64)
	// Artifact stores a file that the run made, read from content until io.EOF. Names are unique
	// within a job and pass CheckArtifactName. The artifact appears with the job's success, or
	// never.
	Artifact(ctx context.Context, name, mediaType string, content io.Reader) (Artifact, error)
	// Spawn makes a file of what is read from content until io.EOF, and a job on it: a child of the
	// run's job, which then waits for it. Both appear with the run's success, or never, so that a run
	// that is repeated spawns nothing twice. What the job's budget does not allow is refused with a
	// permanent error of CodeLimitOutput.
	Spawn(ctx context.Context, child Child, content io.Reader) error
}

// Child is a job that a run spawns.
type Child struct {
	Name   string          // of its file, as CleanName leaves it
	Kind   string          // Auto when empty
	Params json.RawMessage // as a sender would give them
}

// Progress reports the share of the work that is done, 0 to 1.
func (r *Run) Progress(fraction float64) { r.Recorder.Progress(fraction) }

// Artifact stores a file that the run made; see Recorder.
func (r *Run) Artifact(ctx context.Context, name, mediaType string, content io.Reader) (Artifact, error) {
	return r.Recorder.Artifact(ctx, name, mediaType, content)
}

// Spawn makes a child of the run's job; see Recorder.
func (r *Run) Spawn(ctx context.Context, child Child, content io.Reader) error {
	return r.Recorder.Spawn(ctx, child, content)
}

// Drained tells whether the worker has been asked to stop. A long run may then finish early with
// what it has, or return ErrDrain to be handed back at once; one that goes on is given until the
// end of the grace period.
func (r *Run) Drained() bool {
	select {
	case <-r.Draining:
		return true
	default:
		return false
	}
}

// ErrDrain is returned by a handler that stops because its worker does. It burns no attempt.
var ErrDrain = errors.New("jobs: the worker is stopping")

// DecodeParams reads a run's parameters into T, the struct that its kind's Spec names.
func DecodeParams[T any](run *Run) (T, error) {
	var params T
	if len(run.Params) == 0 {
		return params, nil
	}
	if err := decodeStrictly(run.Params, &params); err != nil {
		return params, Permanent(&Error{Code: CodeInvalidParams, Message: err.Error()})
	}
	return params, nil
}

// CheckArtifactName tells whether name can be an artifact's: a clean file name, as CleanName would
// leave it.
func CheckArtifactName(name string) error {
	if name == "" || CleanName(name) != name {
		return fmt.Errorf("artifact name %q is not a plain file name", cleanText(name, 80))
	}
	return nil
}

// Kind is a spec and the handler that does what it describes.
type Kind struct {
	Spec    Spec
	Handler Handler
}

// Kinds pairs specs with their handlers: what a worker can do.
type Kinds struct {
	Specs    *Specs
	handlers map[string]Handler
}

// NewKinds pairs each spec with its handler. Every spec needs one, and every handler a spec.
func NewKinds(specs *Specs, handlers map[string]Handler) (*Kinds, error) {
	for _, spec := range specs.All() {
		if handlers[spec.Name] == nil {
			return nil, fmt.Errorf("kind %q has no handler", spec.Name)
		}
	}
	for name := range handlers {
		if _, ok := specs.Get(name); !ok {
			return nil, fmt.Errorf("handler %q has no spec", name)
		}
	}
	return &Kinds{Specs: specs, handlers: handlers}, nil
}

// Get returns a kind's spec and handler.
func (k *Kinds) Get(kind string) (Spec, Handler, bool) {
	spec, ok := k.Specs.Get(kind)
	return spec, k.handlers[kind], ok
}

// Names lists the kinds in the order of their specs.
func (k *Kinds) Names() []string {
	names := make([]string, 0, len(k.handlers))
	for _, spec := range k.Specs.All() {
		names = append(names, spec.Name)
	}
	return names
}
