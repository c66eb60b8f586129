package system

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Account is what became of the uploads that were accepted.
type Account struct {
	Accepted  int // answered with 202
	Unheard   int // committed, though the answer did not reach the sender
	Succeeded int
	Failed    int
	Cancelled int
	Unended   int // neither of these yet
	Lost      int // accepted, and not there
	// DuplicateEffects counts jobs for which more than one success was recorded.
	DuplicateEffects int
	LostRuns         int // taken back from workers that had died
	DrainedRuns      int
	// LongestRecovery is the longest time from a worker's death to the next run of one of its jobs.
	LongestRecovery time.Duration
}

// Balanced tells whether every accepted upload ended, each once.
func (a Account) Balanced() bool { return a.Lost == 0 && a.Unended == 0 && a.DuplicateEffects == 0 }

// String is the account as a table.
func (a Account) String() string {
	return fmt.Sprintf("accepted %d (and %d whose answer was cut off), succeeded %d, failed %d, cancelled %d, unended %d,\n"+
		"lost %d, duplicate effects %d, runs lost with their worker %d, runs handed back %d, longest recovery %.1f s",
		a.Accepted, a.Unheard, a.Succeeded, a.Failed, a.Cancelled, a.Unended, a.Lost, a.DuplicateEffects, a.LostRuns, a.DrainedRuns,
		a.LongestRecovery.Seconds())
}

// Account compares what was accepted with what the store has, and deaths (when each process was
// killed, by its name) with when their jobs ran again.
func (s *System) Account(ctx context.Context, accepted []uuid.UUID, deaths map[string]time.Time) (Account, error) {
	a := Account{Accepted: len(accepted)}
	states, err := s.States(ctx)
	if err != nil {
		return a, err
	}
	a.Succeeded, a.Failed, a.Cancelled = states["succeeded"], states["failed"], states["cancelled"]
	total := 0
	for _, n := range states {
		total += n
	}
	a.Unended = total - a.Succeeded - a.Failed - a.Cancelled
	var found int
	if err := s.db.QueryRow(ctx, `SELECT count(*) FROM jobs WHERE id = ANY($1)`, accepted).Scan(&found); err != nil {
		return a, err
	}
	a.Lost = len(accepted) - found
	a.Unheard = total - found
	err = s.db.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM (SELECT job_id FROM attempts WHERE outcome = 'succeeded' GROUP BY job_id HAVING count(*) > 1) twice)
			+ (SELECT count(*) FROM jobs j WHERE state = 'succeeded' AND
				(SELECT count(*) FROM events e WHERE e.job_id = j.id AND e.type = 'ended' AND e.data->>'state' = 'succeeded') <> 1),
			(SELECT count(*) FROM attempts WHERE outcome = 'lost'),
			(SELECT count(*) FROM attempts WHERE outcome = 'drained')`).Scan(&a.DuplicateEffects, &a.LostRuns, &a.DrainedRuns)
	if err != nil {
		return a, err
	}
	return a, s.recoveries(ctx, &a, deaths)
}

// recoveries finds the longest time from a process's death to the next run of a job that it held.
func (s *System) recoveries(ctx context.Context, a *Account, deaths map[string]time.Time) error {
	rows, err := s.db.Query(ctx, `
		SELECT lost.worker_label, coalesce(next.started_at, j.started_at)
		FROM attempts lost
			JOIN jobs j ON j.id = lost.job_id
			LEFT JOIN attempts next ON next.job_id = lost.job_id AND next.run = lost.run + 1
		WHERE lost.outcome = 'lost' AND coalesce(next.started_at, j.started_at) > lost.started_at`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var label string
		var again time.Time
		if err := rows.Scan(&label, &again); err != nil {
			return err
		}
		if died, ok := deaths[label]; ok {
			a.LongestRecovery = max(a.LongestRecovery, again.Sub(died))
		}
	}
	return rows.Err()
}
