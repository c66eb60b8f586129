package document

import "github.com/leat-dev/leat/jobs"

// Limits are for tests that reach beyond them; 0 leaves one as New has it.
type Limits struct {
	File   int64
	Memory uint64
	Text   int64
	Token  int
}

// Limited gives a handler with other limits, which shares what handler has compiled.
func Limited(h jobs.Handler, l Limits) jobs.Handler {
	of, ok := h.(*handler)
	if !ok {
		panic("not a handler of this package")
	}
	limits := of.limits
	if l.File != 0 {
		limits.file = l.File
	}
	if l.Memory != 0 {
		limits.memory = l.Memory
	}
	if l.Text != 0 {
		limits.text = l.Text
	}
	if l.Token != 0 {
		limits.token = l.Token
	}
	return &handler{engine: of.engine, limits: limits}
}

// MaxTitle is for tests that reach beyond it.
const MaxTitle = maxTitle
