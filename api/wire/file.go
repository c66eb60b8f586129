package wire

import (
	"time"

	"github.com/google/uuid"
)

// File is a set of bytes that was accepted.
type File struct {
	ID          uuid.UUID `json:"id" format:"uuid"`
	Name        string    `json:"name" doc:"As the sender gave it, cleaned."`
	Size        int64     `json:"size" minimum:"0" doc:"Bytes."`
	SHA256      string    `json:"sha256" pattern:"^[0-9a-f]{64}$"`
	MediaType   string    `json:"media_type" doc:"Found by looking at the content."`
	ClaimedType string    `json:"claimed_type,omitempty" doc:"What the sender said."`
	CreatedAt   time.Time `json:"created_at"`
	URL         string    `json:"url" format:"uri-reference" doc:"Where its bytes are."`
}
