package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/sniff"
	"github.com/leat-dev/leat/store"
)

// maxAhead is how far in the future an upload's work may be put off.
const maxAhead = 366 * 24 * time.Hour

// choices are what an upload asks for: fields of its form, parameters of its query, or some of
// each. They hold for all its files. An empty value, as a page's form sends for what was left
// blank, is the same as none.
type choices struct {
	kind     string
	queue    string
	params   json.RawMessage
	runAt    time.Time // zero: now
	asked    string    // run_at as it was given
	fresh    bool
	filename string // of a raw body

	given []string
}

// choiceNames are the fields that a form can have beside its files.
var choiceNames = []string{"kind", "queue", "params", "run_at", "fresh"}

// queryChoices reads the choices in a query. A form names its files itself.
func (a *API) queryChoices(r *http.Request, form bool) (*choices, error) {
	c := &choices{kind: jobs.Auto}
	if r.URL.RawQuery == "" {
		return c, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fail(wire.CodeMalformedRequest, "The query is not percent-encoded as it should be.")
	}
	for name, values := range query {
		for _, value := range values {
			if name == "filename" && !form {
				err = c.setFilename(value)
			} else {
				err = c.set(a, name, value)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func (c *choices) setFilename(value string) error {
	if err := c.once("filename"); err != nil {
		return err
	}
	c.filename = value
	return nil
}

// once notes that a field is given, and refuses it the second time.
func (c *choices) once(name string) error {
	if slices.Contains(c.given, name) {
		return failField(wire.CodeDuplicateField, name, "given more than once")
	}
	c.given = append(c.given, name)
	return nil
}

// set takes one choice, as soon as it is known, so that a wrong one is refused before the files
// that follow it are sent.
func (c *choices) set(a *API, name, value string) error {
	if int64(len(value)) > a.limits.Field {
		return failTooLong(name, a.limits.Field)
	}
	if !slices.Contains(choiceNames, name) {
		return failUnknown(name)
	}
	if err := c.once(name); err != nil || value == "" {
		return err
	}
	switch name {
	case "kind":
		if _, ok := a.specs.Get(value); !ok && value != jobs.Auto {
			return failField(wire.CodeUnknownKind, name, "there is no such kind of work")
		}
		c.kind = value
	case "queue":
		if err := jobs.CheckName(value); err != nil {
			return failField(wire.CodeInvalidParameter, name, err.Error())
		}
		c.queue = value
	case "params":
		if !json.Valid([]byte(value)) {
			return failField(wire.CodeInvalidParams, name, "not JSON")
		}
		c.params = json.RawMessage(value)
	case "run_at":
		return c.setRunAt(value, a.now())
	case "fresh":
		fresh, err := strconv.ParseBool(value)
		if err != nil {
			return failField(wire.CodeInvalidParameter, name, "want true or false")
		}
		c.fresh = fresh
	}
	return nil
}

// setRunAt takes the time before which the work is not to begin. One that has passed means now:
// it gives no place before those who came earlier.
func (c *choices) setRunAt(value string, now time.Time) error {
	at, err := time.Parse(time.RFC3339, value)
	c.asked = value
	switch {
	case err != nil:
		return failField(wire.CodeInvalidParameter, "run_at", "not a time as RFC 3339 writes it, such as 2030-01-31T12:00:00Z")
	case at.After(now.Add(maxAhead)):
		return failField(wire.CodeInvalidParameter, "run_at", "more than a year ahead")
	case at.After(now):
		c.runAt = at.UTC()
	}
	return nil
}

func failTooLong(name string, limit int64) error {
	f := fail(wire.CodeFieldTooLarge, "The limit is %d bytes.", limit)
	f.fields = []wire.FieldError{{Field: showName(name), Message: "too long"}}
	return f
}

func failUnknown(name string) error {
	return failField(wire.CodeUnknownField, showName(name), "unknown")
}

// showName bounds a field's name that the client made up, before it is sent back.
func showName(name string) string {
	const limit = 64
	if len(name) > limit {
		name = name[:limit]
	}
	return jobs.CleanName(name)
}

// job makes the job that the choices ask for on a file.
func (c *choices) job(a *API, file *store.NewFile) (store.NewJob, error) {
	var spec jobs.Spec
	if c.kind == jobs.Auto {
		spec = a.specs.Route(sniff.Routes(file.MediaType, file.Name)...)
	} else {
		spec, _ = a.specs.Get(c.kind) // set has seen it
	}
	params, hash, err := a.canonical(&spec, c.params)
	if err != nil {
		return store.NewJob{}, err
	}
	job := store.JobOf(&spec, params, hash)
	if c.queue != "" {
		job.Queue = c.queue
	}
	job.RunAt, job.Fresh = c.runAt, c.fresh
	return job, nil
}

// canonical gives the one form of a kind's parameters, none for a kind that takes none. Most
// uploads give none: theirs are worked out once.
func (a *API) canonical(spec *jobs.Spec, raw json.RawMessage) (json.RawMessage, [32]byte, error) {
	if len(raw) == 0 {
		if d, ok := a.defaults[spec.Name]; ok {
			return d.params, d.hash, nil
		}
	}
	params, hash, err := spec.Canonical(raw)
	if err != nil {
		return nil, hash, err
	}
	if spec.Params == nil {
		params = nil
	}
	return params, hash, nil
}

// defaultParams are a kind's parameters when an upload gives none.
type defaultParams struct {
	params json.RawMessage
	hash   [32]byte
}

// defaultsOf works out the parameters of every kind that needs none.
func (a *API) defaultsOf(specs *jobs.Specs) map[string]defaultParams {
	defaults := map[string]defaultParams{}
	for _, spec := range specs.All() {
		if params, hash, err := a.canonical(&spec, nil); err == nil {
			defaults[spec.Name] = defaultParams{params, hash}
		} // one that needs parameters is refused when an upload gives none
	}
	return defaults
}
