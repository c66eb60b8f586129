package queue_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/queue"
)

func TestPayload(t *testing.T) {
	t.Parallel()
	for _, generation := range []int{0, 1, math.MaxInt32, math.MaxInt} {
		want := queue.Delivery{JobID: uuid.New(), Generation: generation}
		got, err := queue.ParsePayload([]byte(queue.TaskID(want)))
		if err != nil || got != want {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}

	id := uuid.New().String()
	for _, payload := range []string{
		"", ".", id, id + ".", id + ".x", id + ".-1", id + ".+1", id + ".01", id + ".1 ", id + ".1.1", id + ".9223372036854775808",
		strings.ToUpper("a"+id[1:]) + ".1", "{" + id + "}.1", "urn:uuid:" + id + ".1", strings.ReplaceAll(id, "-", "") + ".1", id[1:] + ".1",
	} {
		if d, err := queue.ParsePayload([]byte(payload)); err == nil {
			t.Errorf("%q was taken for %v", payload, d)
		}
	}
}

// What is read is what was written, byte for byte.
func FuzzPayload(f *testing.F) {
	f.Add([]byte("0199c0de-0000-7000-8000-000000000001.7"))
	f.Add([]byte("."))
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := queue.ParsePayload(payload)
		if err == nil && queue.TaskID(d) != string(payload) {
			t.Errorf("%q was read as %v", payload, d)
		}
	})
}
