package queue

import (
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
)

// What the tests look at behind the API.
var (
	ParseURL     = parseURL
	ParsePayload = parsePayload
	Share        = share
)

func (c *Conn) Redis() redis.UniversalClient { return c.redis }

func TaskID(d Delivery) string { return taskID(d) }

// NewAsynqLog is what asynq's servers log to, with a clock.
func NewAsynqLog(to *slog.Logger, now func() time.Time) interface {
	Debug(args ...any)
	Info(args ...any)
	Warn(args ...any)
	Error(args ...any)
	Fatal(args ...any)
} {
	l := newLimitedLog("asynq", to)
	l.now = now
	return asynqLog{l}
}
