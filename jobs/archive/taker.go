package archive

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec"
)

const (
	// maxListed bounds each list in a result; its bytes of JSON are bounded besides.
	maxListed      = 1000
	maxFileBytes   = 640 << 10
	maxRefuseBytes = 256 << 10
)

// item is an entry as its format's reader sees it.
type item struct {
	name   string // valid UTF-8 or not
	size   int64  // uncompressed, as declared; -1 when it is not known
	folder bool
	kind   Reason // why an entry of its type is refused; empty for a file or a folder
	locked Reason // why its content cannot be read: Encrypted or Method
}

// taker decides what becomes of each entry, and keeps the account.
type taker struct {
	run    *jobs.Run
	src    *source
	params spec.ArchiveParams
	limits limits
	budget int64 // bytes that all entries together may have
	taken  names
	locked bool // an entry was refused because it is encrypted
	result *Result

	fileBytes, refuseBytes int // that the lists may still take
}

func newTaker(run *jobs.Run, src *source, params spec.ArchiveParams, limits limits) *taker {
	return &taker{
		run: run, src: src, params: params, limits: limits, budget: limits.budget(src.size()), taken: names{},
		result:    &Result{Files: []File{}, Refused: []Refusal{}},
		fileBytes: maxFileBytes, refuseBytes: maxRefuseBytes,
	}
}

// take makes a file and a job of an entry, or counts it as what it is. open gives the content, and
// is called for a file that is wanted. The errors end the run.
func (t *taker) take(it item, open func() (io.ReadCloser, error)) error {
	if err := t.count(); err != nil {
		return err
	}
	clean, reason := cleanPath(it.name)
	if it.kind != "" {
		reason = it.kind
	}
	switch {
	case reason != "":
		t.refuse(it.name, reason)
		return nil
	case it.folder:
		t.result.Folders++
		return nil
	case !t.wants(clean):
		t.result.Skipped++
		return nil
	case it.locked != "":
		t.locked = t.locked || it.locked == Encrypted
		t.refuse(it.name, it.locked)
		return nil
	}
	if it.size > t.limits.file {
		return jobs.Fail(jobs.CodeLimitOutput, "%q has %d bytes, and one file may have %d", clean, it.size, t.limits.file)
	}
	if it.size > t.budget-t.result.Bytes {
		return failBytes(t.budget)
	}
	return t.spawn(clean, open)
}

func (t *taker) count() error {
	if t.result.Entries++; t.result.Entries > int64(t.params.MaxEntries) {
		return jobs.Fail(jobs.CodeLimitOutput, "the archive has more than %d entries", t.params.MaxEntries)
	}
	return t.src.ended()
}

func (t *taker) refuse(name string, reason Reason) {
	t.result.RefusedCount++
	refusal := Refusal{Path: shown(name), Reason: reason}
	if len(t.result.Refused) < maxListed && fits(&t.refuseBytes, refusal) {
		t.result.Refused = append(t.result.Refused, refusal)
	}
}

// wants tells whether the parameters let a file in.
func (t *taker) wants(clean string) bool {
	matches := func(pattern string) bool {
		against := clean
		if !strings.Contains(pattern, "/") {
			against = path.Base(clean)
		}
		ok, err := path.Match(pattern, against)
		return ok && err == nil // Validate has seen the pattern
	}
	if len(t.params.Include) > 0 && !slices.ContainsFunc(t.params.Include, matches) {
		return false
	}
	return !slices.ContainsFunc(t.params.Exclude, matches)
}

// spawn makes a file and a job of an entry's content.
func (t *taker) spawn(clean string, open func() (io.ReadCloser, error)) error {
	content, err := open()
	if err != nil {
		return t.blame(clean, err)
	}
	counted := &counter{r: content, src: t.src, file: t.limits.file, left: t.budget - t.result.Bytes, budget: t.budget}
	name := t.taken.of(clean)
	err = t.run.Spawn(t.src.ctx, jobs.Child{Name: name, Kind: t.params.Kind, Params: t.params.Params}, counted)
	closed := content.Close()
	switch {
	case counted.err != nil: // however Spawn put it
		return t.blame(clean, counted.err)
	case err != nil:
		return &spawnError{err}
	case closed != nil:
		return t.blame(clean, closed)
	}
	t.result.Spawned++
	t.result.Bytes += counted.n
	file := File{Path: clean, Name: name, Size: counted.n}
	if len(t.result.Files) < maxListed && fits(&t.fileBytes, file) {
		t.result.Files = append(t.result.Files, file)
	}
	return nil
}

// blame says in which file something is wrong.
func (t *taker) blame(clean string, err error) error {
	return fmt.Errorf("in %q: %w", clean, err)
}

// fits takes what a value needs in a list from what is left for it, if there is enough.
func fits(left *int, v any) bool {
	text, err := json.Marshal(v)
	if err != nil || len(text)+1 > *left {
		*left = 0 // the list ends here, and has no gaps
		return false
	}
	*left -= len(text) + 1
	return true
}
