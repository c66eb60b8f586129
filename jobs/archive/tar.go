package archive

import (
	"archive/tar"
	"errors"
	"io"
	"strings"
)

// readTar goes through a tar archive from its start to its end marker. Sparse files are spawned with
// their holes, which count as all bytes do.
func (t *taker) readTar(r io.Reader) error {
	archive := tar.NewReader(struct{ io.Reader }{r}) // without Seek, which would pass by a cut
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return noEOF(err)
		}
		if header.Typeflag == tar.TypeXGlobalHeader { // about the entries, not one of them
			continue
		}
		it := item{name: strings.ToValidUTF8(header.Name, "\ufffd"), size: header.Size}
		it.folder, it.kind = tarKind(header.Typeflag)
		open := func() (io.ReadCloser, error) { return io.NopCloser(archive), nil }
		if err := t.take(it, open); err != nil {
			return err
		}
	}
}

// tarKind tells what an entry of a type is: a folder, a file, or something to refuse.
func tarKind(flag byte) (folder bool, refused Reason) {
	switch flag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return false, ""
	case tar.TypeDir:
		return true, ""
	case tar.TypeLink, tar.TypeSymlink:
		return false, Link
	case tar.TypeChar, tar.TypeBlock:
		return false, Device
	}
	return false, Special
}

// noEOF makes of an end that comes too early an error that says so, where an end alone could be
// taken for a good one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
