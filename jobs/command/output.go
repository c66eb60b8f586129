package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

// copyAll gives all that is read to each of the writers, until the end or until the reader is
// closed. Errors are a writer's, or in reading.
func copyAll(from io.Reader, to ...io.Writer) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(to...)}, struct{ io.Reader }{from}, make([]byte, 32<<10))
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// stdout keeps the program's standard output as long as it is within its limit.
type stdout struct {
	file  *os.File // without a name; nil when nothing is kept
	size  int64
	limit int64
}

func newStdout(f *folder, d declare.Command) (*stdout, error) {
	if d.Stdout == declare.Discard {
		return &stdout{}, nil
	}
	const name = "stdout"
	file, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep the standard output: %w", err)
	}
	if err := f.root.Remove(name); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the standard output: %w", err), file.Close())
	}
	return &stdout{file: file, limit: int64(d.Limits.StdoutBytes)}, nil
}

// Write implements io.Writer.
func (s *stdout) Write(p []byte) (int, error) {
	if s.file == nil {
		return len(p), nil
	}
	if s.size += int64(len(p)); s.size > s.limit {
		return 0, jobs.Fail(jobs.CodeLimitOutput, "the program wrote more than %d bytes to its standard output", s.limit)
	}
	n, err := s.file.Write(p)
	if err != nil {
		return n, fmt.Errorf("keep the standard output: %w", err)
	}
	return n, nil
}

// content reads what was kept.
func (s *stdout) content() *io.SectionReader { return io.NewSectionReader(s.file, 0, s.size) }

// result reads it as a job's result.
func (s *stdout) result() (json.RawMessage, error) {
	text, err := io.ReadAll(s.content())
	if err != nil {
		return nil, fmt.Errorf("read the standard output: %w", err)
	}
	if len(text) == 0 {
		return nil, jobs.Fail(jobs.CodeInvalidResult, "the program wrote nothing to its standard output")
	}
	if err := jobs.CheckResult(text); err != nil {
		return nil, jobs.Fail(jobs.CodeInvalidResult, "the program's standard output: %v", err)
	}
	return text, nil
}

// close gives up what was kept.
func (s *stdout) close() {
	if s.file != nil {
		_ = s.file.Close() // it has no name, and nobody reads it any more
	}
}
