package sqlite

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/leat-dev/leat/store"
)

// Writer is the pool of the one connection that writes.
func (s *Store) Writer() *sql.DB { return s.writer }

// Reader is the pool of those that read.
func (s *Store) Reader() *sql.DB { return s.reader }

// Statements lists every statement that was run so far, but for those that begin and end
// transactions.
func (s *Store) Statements() []string {
	all := map[string]bool{}
	for _, pool := range []*statements{s.writes, s.reads} {
		pool.mu.Lock()
		for text := range pool.kept {
			all[text] = true
		}
		for text := range pool.wanted {
			all[text] = true
		}
		pool.mu.Unlock()
	}
	return slices.Sorted(maps.Keys(all))
}

// AcceptTogether accepts several calls in one group and gives each one's error.
func (s *Store) AcceptTogether(ctx context.Context, calls ...[]store.Upload) []error {
	units := make([]unit, len(calls))
	for i, uploads := range calls {
		units[i] = func(ctx context.Context, t *tx) error {
			for j := range uploads {
				if _, err := t.accept(ctx, "default", nil, &uploads[j]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	errs := make([]error, len(calls))
	for i, verdict := range s.runGroup(ctx, units) {
		errs[i] = verdict.Err
	}
	return errs
}
