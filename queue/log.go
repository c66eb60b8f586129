package queue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// With Redis away the libraries repeat themselves without end: of their
	// warnings and errors logBurst are let through in each logWindow.
	logWindow = time.Minute
	logBurst  = 5
)

// limitedLog passes on what a library says, as the attribute detail of a line,
// and counts what it leaves out.
type limitedLog struct {
	source string
	to     *slog.Logger
	now    func() time.Time

	mu     sync.Mutex
	window time.Time // when the current window began
	passed int       // in the current window
	left   int       // lines left out since the last that was passed on
}

func newLimitedLog(source string, to *slog.Logger) *limitedLog {
	return &limitedLog{source: source, to: to, now: time.Now}
}

func (l *limitedLog) log(ctx context.Context, level slog.Level, detail string) {
	if !l.to.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("library", l.source), slog.String("detail", detail)}
	if level >= slog.LevelWarn {
		left, ok := l.admit()
		if !ok {
			return
		}
		if left > 0 {
			attrs = append(attrs, slog.Int("left_out", left))
		}
	}
	l.to.LogAttrs(ctx, level, "delivery", attrs...)
}

// admit tells whether a line may pass, and how many before it did not.
func (l *limitedLog) admit() (left int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.window) >= logWindow {
		l.window, l.passed = now, 0
	}
	if l.passed == logBurst {
		l.left++
		return 0, false
	}
	l.passed++
	left, l.left = l.left, 0
	return left, true
}

// asynqLog is a limitedLog as asynq wants it. What asynq finds worth an Info is
// about its own insides, and so is passed on as Debug.
type asynqLog struct{ *limitedLog }

func (l asynqLog) Debug(args ...any) { l.print(slog.LevelDebug, args) }
func (l asynqLog) Info(args ...any)  { l.print(slog.LevelDebug, args) }
func (l asynqLog) Warn(args ...any)  { l.print(slog.LevelWarn, args) }
func (l asynqLog) Error(args ...any) { l.print(slog.LevelError, args) }

// Fatal would end the process, by asynq's contract; asynq's servers never call it.
func (l asynqLog) Fatal(args ...any) { l.print(slog.LevelError, args) }

func (l asynqLog) print(level slog.Level, args []any) {
	l.log(context.Background(), level, fmt.Sprint(args...))
}

// driverLog is a limitedLog as go-redis wants it.
type driverLog struct{ *limitedLog }

func (l driverLog) Printf(ctx context.Context, format string, args ...any) {
	l.log(ctx, slog.LevelWarn, fmt.Sprintf(format, args...))
}

// RouteDriverLogs sends what go-redis logs to a logger, at most five lines a
// minute; until then it goes to stderr. It holds for the whole process: a program
// calls it once, at its start.
func RouteDriverLogs(to *slog.Logger) {
	redis.SetLogger(driverLog{newLimitedLog("go-redis", to)})
}
