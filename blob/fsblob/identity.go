package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/blob"
)

// EnsureIdentity writes the file that says whose the folder is, if there is none. It is made as an
// object is, so of two stores that come at once one wins.
func (s *Store) EnsureIdentity(ctx context.Context, id uuid.UUID) error {
	if err := s.ensureIdentity(ctx, id); err != nil {
		return fmt.Errorf("ensure that the blob folder is store %v's: %w", id, err)
	}
	return nil
}

func (s *Store) ensureIdentity(ctx context.Context, id uuid.UUID) error {
	found, err := s.Identity(ctx)
	if errors.Is(err, blob.ErrNotExist) {
		if err := s.writeIdentity(id); err != nil && !errors.Is(err, fs.ErrExist) {
			return writeError(err)
		}
		found, err = s.Identity(ctx)
	}
	if err != nil {
		return err
	}
	if found != id {
		return fmt.Errorf("%w: it is store %v's", blob.ErrForeign, found)
	}
	// Whoever wrote it may not have come to this yet.
	return writeError(s.fs.SyncDir("."))
}

func (s *Store) writeIdentity(id uuid.UUID) (err error) {
	temp, err := s.createTemp(identityFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, temp.discard()) }()
	if err := temp.write([]byte(id.String() + "\n")); err != nil {
		return err
	}
	if err := temp.finish(); err != nil {
		return err
	}
	err = s.fs.Move(temp.name, identityFile)
	temp.moved = err == nil
	return err
}

// Identity reads whose the folder is.
func (s *Store) Identity(ctx context.Context) (uuid.UUID, error) {
	id, err := s.identity(ctx)
	if err != nil {
		return uuid.Nil, fmt.Errorf("read the identity of the blob folder: %w", err)
	}
	return id, nil
}

func (s *Store) identity(ctx context.Context) (uuid.UUID, error) {
	if err := context.Cause(ctx); err != nil {
		return uuid.Nil, err
	}
	file, err := s.fs.Open(identityFile)
	if err != nil {
		return uuid.Nil, readError(err)
	}
	defer file.Close() // nothing was written
	const enough = 64  // bytes; a right one has 37
	text, err := io.ReadAll(io.LimitReader(file, enough))
	if err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return uuid.Nil, fmt.Errorf("file %s: %w", identityFile, err)
	}
	return id, nil
}
