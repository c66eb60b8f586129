package sqlite

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

// key gives an ID as it is stored.
func key(id uuid.UUID) []byte { return id[:] }

// keyOrNull is key, with uuid.Nil as NULL.
func keyOrNull(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id[:]
}

// micros gives a time as it is stored.
func micros(at time.Time) int64 { return at.UnixMicro() }

// microsOrNull is micros, with the zero time as NULL.
func microsOrNull(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.UnixMicro()
}

// textOrNull stores the empty text as NULL.
func textOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// jsonOrNull stores JSON as text, and none as NULL.
func jsonOrNull(raw json.RawMessage) any { return textOrNull(string(raw)) }

// bytesOrNull stores content that lies in the row; empty content is content.
func bytesOrNull(content []byte, blob uuid.UUID) any {
	switch {
	case blob != uuid.Nil:
		return nil
	case content == nil:
		return []byte{}
	}
	return content
}

// errorParts gives the two columns of an error, or NULLs.
func errorParts(e *jobs.Error) (code, message any) {
	if e == nil {
		return nil, nil
	}
	return string(e.Code), e.Message
}

// toError makes an error of its columns, or nil.
func toError(code, message sql.NullString) *jobs.Error {
	if !code.Valid {
		return nil
	}
	return &jobs.Error{Code: jobs.Code(code.String), Message: message.String}
}

// intoTime scans a time, NULL as the zero one.
type intoTime struct{ *time.Time }

// Scan implements sql.Scanner.
func (t intoTime) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*t.Time = time.Time{}
	case int64:
		*t.Time = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("time stored as %T", value)
	}
	return nil
}

// intoID scans an ID, NULL as uuid.Nil.
type intoID struct{ *uuid.UUID }

// Scan implements sql.Scanner.
func (id intoID) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*id.UUID = uuid.Nil
	case []byte:
		if len(v) != len(id.UUID) {
			return fmt.Errorf("ID of %d bytes", len(v))
		}
		copy(id.UUID[:], v)
	default:
		return fmt.Errorf("ID stored as %T", value)
	}
	return nil
}

// intoHash scans a SHA-256.
type intoHash struct{ hash *[32]byte }

// Scan implements sql.Scanner.
func (h intoHash) Scan(value any) error {
	v, ok := value.([]byte)
	if !ok || len(v) != len(h.hash) {
		return fmt.Errorf("hash stored as %T", value)
	}
	copy(h.hash[:], v)
	return nil
}

// intoRaw scans JSON, NULL as none.
func intoRaw(raw *json.RawMessage) *[]byte { return (*[]byte)(raw) }

// encode stores a value of ours, which always encodes, as JSON.
func encode(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}
