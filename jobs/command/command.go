// Package command is the maker of kinds whose work a program does: one that an operator declares in
// the configuration, such as ffmpeg, tesseract or clamscan.
//
// A run gets a folder of its own with a copy of the file, and a program that knows of nothing else:
// no shell, no name that a sender chose, no environment but the declared one, no standard input.
// The program and what it starts are bounded in memory, processor time, output and time, and are
// killed as a group. What it leaves in its output folder becomes the job's artifacts.
//
// It keeps programs from taking more than they may, and files from reaching the command line. It is
// no sandbox: a program has the rights of the worker's user and its network.
//
// It imports package jobs, jobs/sniff and jobs/spec/declare, and nothing else of Leat. It works on
// Linux.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

// Result is what the handler answers, unless the program's standard output is the result.
type Result struct {
	Artifacts int   `json:"artifacts"`         // made by the run
	Bytes     int64 `json:"bytes"`             // in them
	Skipped   int   `json:"skipped,omitempty"` // links, devices, pipes and the like in the output folder
}

// New returns the handler of a declared kind. scratch is the folder in which runs have their own;
// it is made if it is not there. launcher is a command that calls Launch with the arguments behind
// its own: this program in a hidden mode. A program that is not there is an error.
func New(d declare.Command, scratch string, launcher []string) (jobs.Handler, error) {
	h, err := newHandler(d.WithDefaults(), scratch, launcher)
	if err != nil {
		return nil, fmt.Errorf("command %q: %w", d.Name, err)
	}
	return h, nil
}

// handler runs one program.
type handler struct {
	declared declare.Command
	scratch  string
	launcher []string
	program  string // an absolute path
	args     []declare.Template
	env      map[string]declare.Template

	done, total *regexp.Regexp // of progress; nil when there is none
}

func newHandler(d declare.Command, scratch string, launcher []string) (*handler, error) {
	if err := errors.Join(d.Check(), supported()); err != nil {
		return nil, err
	}
	if len(launcher) == 0 {
		return nil, errors.New("there is no launcher, and without one no limits")
	}
	h := &handler{declared: d, launcher: launcher, env: map[string]declare.Template{}}
	var err error
	if h.program, err = exec.LookPath(d.Argv[0]); err != nil {
		return nil, fmt.Errorf("find the program: %w", err)
	}
	if h.scratch, err = filepath.Abs(scratch); err != nil {
		return nil, fmt.Errorf("find the scratch folder: %w", err)
	}
	if err := os.MkdirAll(h.scratch, 0o700); err != nil {
		return nil, fmt.Errorf("make the scratch folder: %w", err)
	}
	if err := h.parse(); err != nil {
		return nil, err
	}
	return h, nil
}

// parse reads the templates and patterns, which Check has found to be well.
func (h *handler) parse() error {
	for _, arg := range h.declared.Argv[1:] {
		t, err := declare.ParseTemplate(arg)
		if err != nil {
			return err
		}
		h.args = append(h.args, t)
	}
	env := map[string]string{"PATH": declare.DefaultPath}
	maps.Copy(env, h.declared.Env)
	for name, value := range env {
		t, err := declare.ParseTemplate(value)
		if err != nil {
			return err
		}
		h.env[name] = t
	}
	for pattern, into := range map[string]**regexp.Regexp{
		h.declared.Progress.Pattern: &h.done, h.declared.Progress.Total: &h.total,
	} {
		if pattern == "" {
			continue
		}
		compiled, err := regexp.Compile(pattern)
		if err != nil {
			return err
		}
		*into = compiled
	}
	return nil
}

// Handle runs the program on the file. It answers with a *Result, or with the JSON that the program
// wrote. What the program's end means is declared; one that goes over a limit fails for good.
func (h *handler) Handle(ctx context.Context, run *jobs.Run) (result any, err error) {
	params, err := h.params(run)
	if err != nil {
		return nil, err
	}
	f, err := newFolder(h.scratch)
	if err != nil {
		return nil, err
	}
	defer func() {
		if removing := f.remove(); removing != nil {
			result, err = nil, errors.Join(err, removing)
		}
	}()
	if err := f.putInput(ctx, run.Input); err != nil {
		return nil, err
	}
	out, err := h.execute(ctx, run, f, params)
	if err != nil {
		return nil, err
	}
	defer out.close()
	return h.collect(ctx, run, f, out)
}

// params reads the run's parameters and checks them again: what is declared may have changed since
// the job was made.
func (h *handler) params(run *jobs.Run) (map[string]string, error) {
	values := map[string]string{}
	if len(run.Params) > 0 {
		if err := json.Unmarshal(run.Params, &values); err != nil {
			return nil, jobs.Fail(jobs.CodeInvalidParams, "parameters are a JSON object of strings")
		}
	}
	for name, p := range h.declared.Params {
		if values[name] == "" {
			values[name] = p.Default
		}
	}
	if err := h.declared.CheckValues(values); err != nil {
		return nil, jobs.Fail(jobs.CodeInvalidParams, "%v", err)
	}
	return values, nil
}

// commandLine gives the program's arguments and environment, each filled in once.
func (h *handler) commandLine(f *folder, params map[string]string) (argv, env []string) {
	argv = []string{h.program}
	for _, t := range h.args {
		argv = append(argv, t.Fill(f.paths(), params))
	}
	for _, name := range slices.Sorted(maps.Keys(h.env)) {
		env = append(env, name+"="+h.env[name].Fill(f.paths(), params))
	}
	return argv, env
}
