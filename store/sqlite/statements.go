package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// statements keeps prepared statements of a pool by their text. A text that comes up within a
// transaction for the first time cannot be prepared on the pool, whose one connection that
// transaction may have; it is prepared before the next transaction.
type statements struct {
	db *sql.DB

	mu     sync.RWMutex
	kept   map[string]*sql.Stmt
	wanted map[string]bool
}

func newStatements(db *sql.DB) *statements {
	return &statements{db: db, kept: map[string]*sql.Stmt{}, wanted: map[string]bool{}}
}

// find returns the kept statement of a text, or nil, and remembers what was asked for.
func (s *statements) find(text string) *sql.Stmt {
	s.mu.RLock()
	stmt := s.kept[text]
	s.mu.RUnlock()
	if stmt == nil {
		s.mu.Lock()
		s.wanted[text] = true
		s.mu.Unlock()
	}
	return stmt
}

// prepare keeps what was asked for. It is called while the caller has no transaction, and holds no
// lock while it waits for a connection, since whoever has that may ask for statements.
func (s *statements) prepare(ctx context.Context) error {
	s.mu.Lock()
	wanted := s.wanted
	s.wanted = map[string]bool{} // find writes to it meanwhile
	s.mu.Unlock()
	for text := range wanted {
		stmt, err := s.db.PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		if err := s.keep(text, stmt); err != nil {
			return err
		}
	}
	return nil
}

// keep keeps a statement, unless another caller was first.
func (s *statements) keep(text string, stmt *sql.Stmt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[text] != nil {
		return stmt.Close()
	}
	s.kept[text] = stmt
	return nil
}

func (s *statements) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, stmt := range s.kept {
		errs = append(errs, stmt.Close())
	}
	clear(s.kept)
	return errors.Join(errs...)
}
