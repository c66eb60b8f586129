package inspect

import (
	"errors"
	"io"
	"math"

	"github.com/leat-dev/leat/jobs/input"
	"github.com/leat-dev/leat/jobs/zipdir"
)

// readZIP counts what the directory at the end of a ZIP file lists. An error of the source is kept
// there.
func readZIP(src *input.Source) *Archive {
	archive := &Archive{Format: "zip"}
	err := archive.countZIP(src)
	archive.Truncated = !errors.Is(err, io.EOF)
	return archive
}

// countZIP answers with io.EOF when it has counted all.
func (a *Archive) countZIP(src *input.Source) error {
	dir, err := zipdir.Find(src, src.Size())
	if err != nil {
		return err
	}
	entries, err := dir.Entries()
	if err != nil {
		return err
	}
	for {
		entry, err := entries.Next()
		if err != nil {
			return err
		}
		a.add(int64(min(entry.Size, math.MaxInt64)))
	}
}
