// Command wordcount is Leat with a kind of work of its own.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/app/apirole"
	"github.com/leat-dev/leat/app/cli"
	"github.com/leat-dev/leat/app/production"
	"github.com/leat-dev/leat/app/workerrole"
	"github.com/leat-dev/leat/jobs"
)

// words is the kind: what there is to know of it, and the function that does it.
var words = jobs.Kind{
	Spec: jobs.Spec{
		Name: "words", Version: 1, Summary: "Counts the words of a text.",
		MediaTypes: []string{"text/plain"}, Reusable: true,
	},
	Handler: jobs.HandlerFunc(count),
}

func count(ctx context.Context, run *jobs.Run) (any, error) {
	n, read := 0, 0
	scanner := bufio.NewScanner(run.Input)
	scanner.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		advance, word, err := bufio.ScanWords(data, atEOF)
		read += advance
		return advance, word, err
	})
	for scanner.Scan() && ctx.Err() == nil {
		n++
		run.Progress(float64(read) / float64(run.File.Size))
	}
	switch err := scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong): // and would be the next time
		return nil, jobs.Fail("word_too_long", "word %d has more than %d bytes", n+1, bufio.MaxScanTokenSize)
	case err != nil:
		return nil, fmt.Errorf("read the text: %w", err)
	}
	return map[string]int{"words": n}, context.Cause(ctx)
}

func main() {
	env := app.OSEnv()
	root := cli.Command(env, words) // up, upload, jobs and the like
	root.AddCommand(
		apirole.Command(env, production.Open, app.SpecsWith(words)),
		workerrole.Command(env, production.Open, workerrole.KindsWith(words)),
	)
	os.Exit(app.Main(root, env, workerrole.Children()))
}
