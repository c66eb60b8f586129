package store

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// IDAt makes an ID of a time, in milliseconds since 1970 (version 7 of UUIDs), and of the
// latter part of another ID.
func IDAt(at time.Time, rest uuid.UUID) uuid.UUID {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(at.UnixMilli(), 0)))
	copy(rest[:6], ms[2:])
	rest[6] = rest[6]&0x0f | 0x70
	return rest
}

// timeOf reads the time that is in an ID of version 7.
func timeOf(id uuid.UUID) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16))
}
