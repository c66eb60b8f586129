package wire

import "github.com/google/uuid"

// The statuses of an upload that was accepted.
const (
	StatusProcessing = "processing"
	StatusSucceeded  = "succeeded"
)

// Upload says that a file was accepted, and which job works on it.
type Upload struct {
	Status    string    `json:"status" enum:"processing,succeeded" doc:"processing: the file and its job are durable, the work may not have begun. succeeded: it was done before on the same bytes, and the job has that result."`
	FileID    uuid.UUID `json:"file_id" format:"uuid"`
	JobID     uuid.UUID `json:"job_id" format:"uuid"`
	ResultOf  uuid.UUID `json:"result_of,omitzero" format:"uuid" doc:"The job whose result was taken over."`
	Size      int64     `json:"size" minimum:"0" doc:"Bytes received."`
	SHA256    string    `json:"sha256" pattern:"^[0-9a-f]{64}$" doc:"Of the bytes received, in hex."`
	MediaType string    `json:"media_type" doc:"Found by looking at the content, whatever the sender said."`
}

// Uploads is the answer to a form with several files: one entry for each, in the form's order.
type Uploads struct {
	Uploads []Upload `json:"uploads" nullable:"false"`
}
