package workerrole

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/archive"
	"github.com/leat-dev/leat/jobs/command"
	"github.com/leat-dev/leat/jobs/document"
	"github.com/leat-dev/leat/jobs/image"
	"github.com/leat-dev/leat/jobs/inspect"
	"github.com/leat-dev/leat/jobs/table"
	"github.com/leat-dev/leat/worker/isolate"
)

// The processes that a worker starts: one that decodes a file, one that prepares what decoders share,
// and one that becomes an operator's program.
const (
	decodeChild  = "decode"
	prepareChild = "prepare"
	execChild    = "exec"
)

// Handlers are the handlers of the kinds that Leat brings and of those that are declared, by kind. Those
// that decode what others have made run in processes of their own, the last of which ends with res.
func Handlers(res *app.Resources) (map[string]jobs.Handler, error) {
	scratch, err := openScratch(res)
	if err != nil {
		return nil, err
	}
	handlers := map[string]jobs.Handler{"inspect": inspect.New()}
	for kind, limits := range decoderLimits() {
		h := isolate.New(kind, []string{app.ChildArg, decodeChild, scratch.shared}, limits, res.Log.With("part", "worker"))
		res.OnClose("the process kept ready for "+kind, func() error { h.Close(); return nil })
		handlers[kind] = h
	}
	handlers["document"] = &prepared{Handler: handlers["document"], scratch: scratch.shared}
	for name, declared := range res.Options.Commands {
		h, err := command.New(declared, filepath.Join(scratch.own, name), []string{"/proc/self/exe", app.ChildArg, execChild})
		if err != nil {
			return nil, &app.ExitError{Code: 2, Err: fmt.Errorf("options: commands: %w", err)}
		}
		handlers[name] = h
	}
	return handlers, nil
}

// decoderLimits are those of the kinds that run in processes of their own.
func decoderLimits() map[string]isolate.Limits {
	usual := isolate.DefaultLimits()
	image, document := usual, usual
	image.Memory = image.Memory * 3 / 2 // twice what a picture may take, which garbage collection needs
	image.CPU = 2 * time.Minute
	image.AtOnce = max(2, runtime.GOMAXPROCS(0)) // more would take memory, and be done no sooner
	document.Memory = 3 << 30                    // address space: much of it is the compiled PDFium, mapped
	return map[string]isolate.Limits{"image": image, "table": withTime(usual, 2*time.Hour), "archive": withTime(usual, time.Hour), "document": document}
}

func withTime(l isolate.Limits, cpu time.Duration) isolate.Limits {
	l.CPU = cpu
	return l
}

// decoders are the handlers that run in such a process.
func decoders(shared string) map[string]jobs.Handler {
	return map[string]jobs.Handler{
		"image": image.New(), "table": table.New(), "archive": archive.New(), "document": document.New(compiledIn(shared)),
	}
}

// Children are what a process may be that a worker starts.
func Children() map[string]app.Child {
	return map[string]app.Child{
		decodeChild: func(ctx context.Context, env app.Env) error {
			if len(env.Args) == 0 {
				return fmt.Errorf("%s: no folder", decodeChild)
			}
			return isolate.Main(ctx, decoders(env.Args[0]), env.Args[1:], env.Stdin, env.Stdout)
		},
		prepareChild: prepare,
		execChild:    func(_ context.Context, env app.Env) error { return command.Launch(env.Args) },
	}
}
