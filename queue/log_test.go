package queue_test

import (
	"strings"
	"testing"
	"time"

	"github.com/leat-dev/leat/queue"
)

// Without a limit asynq's loops flood the log while Redis is away.
func TestAsynqsLogIsLimited(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var logs logBuffer
	l := queue.NewAsynqLog(logs.logger(), func() time.Time { return now })
	for range 100 {
		l.Error("dequeue ", "error")
		l.Warn("will retry syncing")
	}
	if n := logs.count("\n"); n != 5 {
		t.Errorf("%d lines of trouble in a minute, want 5", n)
	}
	now = now.Add(time.Minute)
	l.Fatal("is the last")
	if want := `level=ERROR msg=delivery library=asynq detail="is the last" left_out=195`; !strings.Contains(logs.String(), want) {
		t.Errorf("log lacks %s:\n%s", want, logs.String())
	}
}

func TestAsynqsLogLevels(t *testing.T) {
	t.Parallel()
	var logs logBuffer
	l := queue.NewAsynqLog(logs.logger(), time.Now)
	l.Debug("a ", 1)
	l.Info("b")
	l.Warn("c")
	l.Error("d")
	for _, want := range []string{
		`level=DEBUG msg=delivery library=asynq detail="a 1"`,
		"level=DEBUG msg=delivery library=asynq detail=b",
		"level=WARN msg=delivery library=asynq detail=c",
		"level=ERROR msg=delivery library=asynq detail=d",
	} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("log lacks %s", want)
		}
	}
}
