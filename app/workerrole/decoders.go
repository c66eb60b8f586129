package workerrole

import (
	"context"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/worker/isolate"
)

// decoderChild names the processes that decoders run in.
const decoderChild = "decoder"

// decoder is a handler that decodes what others have made.
type decoder struct {
	handler jobs.Handler
	limits  isolate.Limits
}

// decoders are those of the kinds that Leat brings, by kind.
func decoders() map[string]decoder {
	return map[string]decoder{}
}

// Children are what a process may be that a worker starts.
func Children() map[string]app.Child {
	return map[string]app.Child{decoderChild: func(ctx context.Context, env app.Env) error {
		handlers := make(map[string]jobs.Handler)
		for kind, d := range decoders() {
			handlers[kind] = d.handler
		}
		return isolate.Main(ctx, handlers, env.Args, env.Stdin, env.Stdout)
	}}
}
