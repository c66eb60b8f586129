package inspect

import (
	"archive/tar"
	"errors"
	"io"
	"math"

	"github.com/leat-dev/leat/jobs/input"
)

// Archive tells what an archive holds, or how much a compressed file does. Documents that happen
// to be ZIP files (OpenDocument, Office Open XML, EPUB, Java archives) are not archives here: only
// a file whose media type is an archive's is one. 7-Zip and RAR archives are left out, since their
// directories cannot be read in bounded memory.
type Archive struct {
	// Format is "zip", "tar", "gzip", "bzip2", "xz" or "zstd"; for a compressed tar archive
	// "tar.gz", "tar.bz2", "tar.xz" or "tar.zst".
	Format string `json:"format"`
	// Entries counts files, folders, links and whatever else is in there; a file that is only
	// compressed holds one.
	Entries int64 `json:"entries"`
	// UncompressedSize is that of all entries together, in bytes: as a ZIP archive's directory and
	// a tar archive's headers declare it, and as counted for a file that is only compressed.
	UncompressedSize int64 `json:"uncompressed_size"`
	// Truncated says that the numbers cover only a part: the archive is cut short or damaged, or it
	// is compressed and unpacks to more than 8 GiB or needs too large a window for it.
	Truncated bool `json:"truncated,omitempty"`
}

// add counts an entry. Sizes are declared, and may be anything.
func (a *Archive) add(size int64) {
	a.Entries++
	if size > math.MaxInt64-a.UncompressedSize {
		size = math.MaxInt64 - a.UncompressedSize
	}
	a.UncompressedSize += size
}

// readArchive reads the directory of an archive that is not compressed as a whole. It answers nil
// for other types; its errors are those of the source.
func readArchive(src *input.Source, mediaType string) (*Archive, error) {
	var archive *Archive
	switch mediaType {
	case "application/zip":
		archive = readZIP(src)
	case "application/x-tar":
		archive = &Archive{Format: "tar"}
		archive.readTar(src.Whole())
	}
	if src.Err() != nil {
		return nil, src.Err()
	}
	return archive, nil
}

// readTar counts the entries of a tar archive. One counts when its content is all there, since a
// cut archive's last header may promise anything.
func (a *Archive) readTar(r io.Reader) {
	t := tar.NewReader(r)
	header, err := t.Next()
	for err == nil {
		kind, size := header.Typeflag, header.Size
		header, err = t.Next() // which skips the content
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, tar.ErrHeader) && size > 0 {
			break
		}
		switch kind {
		case tar.TypeXGlobalHeader: // about the entries, not one of them
		case tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo:
			a.add(0) // what their headers say of a size means nothing
		default:
			a.add(size)
		}
	}
	a.Truncated = !errors.Is(err, io.EOF)
}
