package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/client"
)

// uploadFlags are what an upload can ask for.
type uploadFlags struct {
	kind, queue, params, runAt string
	fresh, wait                bool
}

func (r *remote) uploadCommand() *cobra.Command {
	var f uploadFlags
	cmd := &cobra.Command{
		Use:   "upload FILE…",
		Short: "Upload files; with --wait, wait for their jobs and print the results",
		Long: "Upload files, each in a request of its own, and print their jobs.\n" +
			"With --wait the exit code is 1 unless every job succeeds. - is the standard input.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return r.upload(cmd.Context(), f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.kind, "kind", "", "kind of work; chosen by content when not given")
	flags.StringVar(&f.queue, "queue", "", "queue; the kind's own when not given")
	flags.StringVar(&f.params, "params", "", "parameters of the kind, JSON")
	flags.StringVar(&f.runAt, "run-at", "", "not before this time, RFC 3339")
	flags.BoolVar(&f.fresh, "fresh", false, "do the work, even if its result on the same bytes is there already")
	flags.BoolVar(&f.wait, "wait", false, "wait until the jobs have ended")
	return cmd
}

func (f uploadFlags) options() (client.UploadOptions, error) {
	o := client.UploadOptions{Kind: f.kind, Queue: f.queue, Fresh: f.fresh}
	if f.params != "" {
		if !json.Valid([]byte(f.params)) {
			return o, usage("--params is not JSON")
		}
		o.Params = json.RawMessage(f.params)
	}
	if f.runAt != "" {
		at, err := time.Parse(time.RFC3339, f.runAt)
		if err != nil {
			return o, usage("--run-at: %w", err)
		}
		o.RunAt = at
	}
	return o, nil
}

func (r *remote) upload(ctx context.Context, f uploadFlags, paths []string) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	options, err := f.options()
	if err != nil {
		return err
	}
	var accepted []*wire.Upload
	var failed error
	for _, path := range paths {
		up, err := r.uploadOne(ctx, c, options, path)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", path, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		accepted = append(accepted, up)
		if f.wait {
			continue
		}
		text := func(w io.Writer) error { _, err := fmt.Fprintf(w, "%s  %s\n", up.JobID, path); return err }
		if err := r.print(text, up); err != nil {
			return err
		}
	}
	if f.wait {
		failed = errors.Join(failed, r.await(ctx, c, accepted))
	}
	return failed
}

// uploadOne streams one file, with a bar where somebody watches.
func (r *remote) uploadOne(ctx context.Context, c *client.Client, options client.UploadOptions, path string) (up *wire.Upload, err error) {
	file := client.File{Name: filepath.Base(path), MediaType: mime.TypeByExtension(filepath.Ext(path)), Content: r.env.Stdin, Size: -1}
	if path == "-" {
		file.Name = "stdin"
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, errors.New("is not a regular file")
		}
		file.Content, file.Size = f, info.Size()
	}
	progress, done := r.bar(file)
	options.Progress = progress
	uploads, err := c.Upload(ctx, options, file)
	done(err == nil)
	if err != nil {
		return nil, err
	}
	return &uploads[0], nil
}

// bar shows how much of a file was sent, when standard error is a terminal.
func (r *remote) bar(file client.File) (progress func(int64), done func(complete bool)) {
	out, ok := r.env.Stderr.(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) {
		return nil, func(bool) {}
	}
	bars := mpb.New(mpb.WithOutput(out), mpb.WithWidth(40))
	bar := bars.AddBar(max(file.Size, 0),
		mpb.PrependDecorators(decor.Name(file.Name+" ")),
		mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f "), decor.AverageSpeed(decor.SizeB1024(0), "% .1f")),
	)
	return bar.SetCurrent, func(complete bool) {
		if complete {
			bar.SetTotal(-1, true)
		} else {
			bar.Abort(false)
		}
		bars.Wait()
	}
}

// await waits for the jobs in turn and prints each as it ended.
func (r *remote) await(ctx context.Context, c *client.Client, uploads []*wire.Upload) error {
	var failed error
	for _, up := range uploads {
		job, err := c.WaitJob(ctx, up.JobID, client.WaitOptions{})
		if err != nil {
			return errors.Join(failed, err)
		}
		if r.json {
			err = r.print(nil, job)
		} else {
			err = showJob(r.env.Stdout, job, nil)
		}
		if err != nil {
			return err
		}
		if err := endedWell(job); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
