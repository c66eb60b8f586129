package queue

import (
	"errors"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

// taskType is the asynq task type of every delivery.
const taskType = "leat:job"

// Delivery is jobs.Delivery: it tells a worker that a job wants to run.
type Delivery = jobs.Delivery

// taskID names the delivery in Redis, where it can be only once per queue. It is
// the task's payload too: all that a worker needs, and small, for asynq writes
// the payloads of all running tasks every five seconds.
func taskID(d Delivery) string {
	return d.JobID.String() + "." + strconv.Itoa(d.Generation)
}

var errPayload = errors.New("payload is not a job ID, a dot and a generation")

// parsePayload reads what taskID wrote, and nothing that only looks like it.
func parsePayload(payload []byte) (Delivery, error) {
	id, generation, found := strings.Cut(string(payload), ".")
	if !found {
		return Delivery{}, errPayload
	}
	var d Delivery
	var err error
	if d.JobID, err = uuid.Parse(id); err != nil {
		return Delivery{}, errPayload
	}
	if d.Generation, err = strconv.Atoi(generation); err != nil {
		return Delivery{}, errPayload
	}
	if d.Generation < 0 || taskID(d) != string(payload) {
		return Delivery{}, errPayload
	}
	return d, nil
}
