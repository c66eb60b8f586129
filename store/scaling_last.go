package store

import (
	"bytes"
	"time"

	"github.com/google/uuid"
)

// MaxUsage bounds the time between two decisions for which a target's replicas are known, and how
// long decisions that say the same are kept as one.
const MaxUsage = time.Minute

// LastDecision is what drivers know of a target's last decision when the next one comes.
type LastDecision struct {
	ID      uuid.UUID // uuid.Nil before the first
	At      time.Time // when it was recorded, or said again last, by the store's clock
	Current int       // the replicas that were observed
}

// UsedHours is replica-hours of one hour.
type UsedHours struct {
	Hour  time.Time // its beginning
	Hours float64
}

// Used gives the replica-hours since the last decision, up to MaxUsage after it, by hour: two at most.
func (l LastDecision) Used(now time.Time) []UsedHours {
	if l.ID == uuid.Nil || l.Current == 0 {
		return nil
	}
	var used []UsedHours
	end := now
	if limit := l.At.Add(MaxUsage); end.After(limit) {
		end = limit
	}
	for at := l.At; at.Before(end); {
		hour := at.UTC().Truncate(time.Hour)
		next := hour.Add(time.Hour)
		if next.After(end) {
			next = end
		}
		used = append(used, UsedHours{hour, next.Sub(at).Hours() * float64(l.Current)})
		at = next
	}
	return used
}

// MayLast reports whether a decision that says the same could make the last one last longer.
func (l LastDecision) MayLast(now time.Time, same string) bool {
	return same != "" && l.ID != uuid.Nil && now.Sub(timeOf(l.ID)).Abs() < MaxUsage
}

// NextID makes the ID of the next decision. It tells the time, and is greater than the last one's,
// wherever the clock has gone since.
func (l LastDecision) NextID(now time.Time) uuid.UUID {
	id := IDAt(now, uuid.New())
	if bytes.Compare(id[:], l.ID[:]) <= 0 {
		id = IDAt(timeOf(l.ID).Add(time.Millisecond), id)
	}
	return id
}

// KeepUsage is how long replica-hours are kept at least: longer than any month.
const KeepUsage = 62 * 24 * time.Hour
