package table

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/leat-dev/leat/jobs"
)

// errUnread tells who writes an artifact that nobody reads it any more.
var errUnread = errors.New("the artifact is not read to its end")

// store makes an artifact of what write writes, as it is written. The run stores it in a goroutine,
// which has ended when store returns; write stays in the caller's, which is where a panic of an
// encoder is caught.
func store(ctx context.Context, run *jobs.Run, name, mediaType string, write func(io.Writer) error) (err error) {
	from, to := io.Pipe()
	stored := make(chan error, 1)
	go func() {
		_, err := run.Artifact(ctx, name, mediaType, from)
		from.CloseWithError(errUnread)
		stored <- err
	}()
	writing := errors.New("the artifact is not written to its end")
	defer func() {
		to.CloseWithError(writing)
		storing := <-stored
		switch {
		case writing == nil || errors.Is(writing, errUnread) && storing != nil:
			err = storing
		default:
			err = writing
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	writing = write(to)
	return writing
}

// writeTo writes the profile column by column, since one of thousands of columns is long.
func (p *Profile) writeTo(w io.Writer) error {
	columns := p.Columns
	head := *p
	head.Columns = []ColumnProfile{}
	text, err := json.Marshal(head)
	if err != nil {
		return err
	}
	text, ok := bytes.CutSuffix(text, []byte("]}"))
	if !ok {
		return errors.New("the columns are not last in the profile")
	}
	for i := range columns {
		column, err := json.Marshal(&columns[i])
		if err != nil {
			return err
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(text, '\n'), column...)
		if _, err := w.Write(text); err != nil {
			return err
		}
		text = text[:0]
	}
	_, err = w.Write(append(text, "]}\n"...))
	return err
}
