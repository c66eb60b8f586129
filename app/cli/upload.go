package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"strconv"
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
			"A large file goes on where it stood when the connection breaks, or when the same command is given again.\n" +
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
		options.Key = uploadKey(f.Name(), info, options)
	}
	progress, say, done := r.bar(file)
	options.Progress = progress
	options.Retrying = func(why error, wait time.Duration) {
		if wait >= time.Second { // what is over sooner worries nobody
			fmt.Fprintf(say, "leat: %s: %v: trying again in %v\n", path, why, wait)
		}
	}
	defer func() { done(err == nil) }()
	if source, ok := file.Content.(io.ReaderAt); ok && file.Size >= resumable {
		return uploadInPieces(ctx, c, options, client.Source{Name: file.Name, MediaType: file.MediaType, Content: source, Size: file.Size})
	}
	options.Key = ""
	uploads, err := c.Upload(ctx, options, file)
	if err != nil {
		return nil, err
	}
	return &uploads[0], nil
}

// resumable is the size from which on a file is sent so that it can be gone on with, in bytes. Smaller
// ones are quicker sent again.
const resumable = 4 << 20

// uploadKey names an upload of a file as it is now. The same command, given again after it was broken
// off, so goes on with what it had begun.
func uploadKey(path string, info os.FileInfo, o client.UploadOptions) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	} // else the path as it was given, by which it is found as long as nobody changes the folder
	sum := sha256.New()
	for _, part := range []string{
		path, strconv.FormatInt(info.Size(), 10), info.ModTime().UTC().Format(time.RFC3339Nano),
		o.Kind, o.Queue, string(o.Params), o.RunAt.UTC().Format(time.RFC3339Nano), strconv.FormatBool(o.Fresh),
	} {
		fmt.Fprintf(sum, "%d:%s", len(part), part) // a hash takes everything
	}
	return "leat-upload-" + hex.EncodeToString(sum.Sum(nil))
}

// uploadInPieces goes on with the upload of the file that was begun last, or begins one if that came to
// its end or is gone: who uploads a file twice wants it twice.
func uploadInPieces(ctx context.Context, c *client.Client, options client.UploadOptions, source client.Source) (*wire.Upload, error) {
	key := options.Key
	for n := 1; ; n++ {
		options.Key = fmt.Sprintf("%s-%d", key, n)
		up, again, err := c.UploadInPieces(ctx, options, source)
		var gone *wire.Problem
		if errors.As(err, &gone) && (gone.Code == wire.CodeUploadExpired || gone.Code == wire.CodeNotFound) {
			continue // what was begun is there no more
		}
		if err != nil {
			return nil, err
		}
		if !again {
			return &up, nil
		}
	}
}

// bar shows how much of a file was sent, when standard error is a terminal. What is said meanwhile goes
// to say.
func (r *remote) bar(file client.File) (progress func(int64), say io.Writer, done func(complete bool)) {
	out, ok := r.env.Stderr.(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) {
		return nil, r.env.Stderr, func(bool) {}
	}
	bars := mpb.New(mpb.WithOutput(out), mpb.WithWidth(40))
	bar := bars.AddBar(max(file.Size, 0),
		mpb.PrependDecorators(decor.Name(file.Name+" ")),
		mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f "), decor.AverageSpeed(decor.SizeB1024(0), "% .1f")),
	)
	return bar.SetCurrent, bars, func(complete bool) {
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
