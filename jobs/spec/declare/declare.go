// Package declare reads the kinds of work that an operator declares instead of writing: a program
// that is run on each file. It holds what can be said of such a kind and checks it, so that the
// upload API and the configuration know it without the code that runs programs.
//
// It imports only package jobs. Package jobs/command runs what is declared here.
package declare

import (
	"maps"
	"slices"
	"time"

	"github.com/leat-dev/leat/jobs"
)

// Bytes is a number of bytes; in the configuration it is written as 64MiB, 2GB or 1024.
type Bytes int64

// Command is a kind of work that a program does. Zero fields have the defaults that WithDefaults
// gives.
type Command struct {
	Name    string `koanf:"-"`       // of the kind; the configuration has it as the section's key
	Summary string `koanf:"summary"` // one sentence for the API's documentation
	Version int    `koanf:"version"` // raised when the same input gives another result

	// Argv is the program and its arguments; no shell reads them. The first is an absolute path, or
	// a name that is looked up in the worker's PATH when it starts. In the others, and in Env, stand
	// placeholders: {input} and {output} for the paths of the file and of the folder for what the
	// program makes, {temp} for a folder that is thrown away, {param.NAME} for a parameter. {{ and
	// }} stand for braces.
	Argv   []string          `koanf:"argv"`
	Env    map[string]string `koanf:"env"` // all of it, but for PATH, which is DefaultPath unless given
	Params map[string]Param  `koanf:"params"`

	// Reusable says that the program's result depends on nothing but the file, the parameters and
	// Version, so that a later job on the same bytes is given it instead of running the program again.
	Reusable bool `koanf:"reusable"`

	MediaTypes []string `koanf:"media-types"` // "image/png", "image/*"
	Queue      string   `koanf:"queue"`
	Limits     Limits   `koanf:"limits"`
	Exit       Exit     `koanf:"exit"`
	Progress   Progress `koanf:"progress"`
	Stdout     Stdout   `koanf:"stdout"`

	Timeout     time.Duration `koanf:"timeout"`
	Concurrency int           `koanf:"concurrency"` // at once in one process; 0 means no bound of its own
	MaxAttempts int           `koanf:"max-attempts"`
	RetryBase   time.Duration `koanf:"retry-base"`
	RetryFactor float64       `koanf:"retry-factor"`
	RetryCap    time.Duration `koanf:"retry-cap"`
	RetryJitter *float64      `koanf:"retry-jitter"`
}

// Param is a parameter that a sender may give, always a string.
type Param struct {
	Pattern string `koanf:"pattern"` // regular expression (RE2) that the whole value matches
	Default string `koanf:"default"` // for a sender who leaves it out; it matches Pattern too
	Doc     string `koanf:"doc"`     // for the API's documentation
}

// Limits bound a run. Those of the system (Memory, CPU, OpenFiles) hold for each of the run's
// processes, the others for the run.
type Limits struct {
	Memory      Bytes         `koanf:"memory"`       // of address space
	CPU         time.Duration `koanf:"cpu"`          // processor time, in whole seconds
	OpenFiles   int           `koanf:"open-files"`   // file descriptors
	OutputBytes Bytes         `koanf:"output-bytes"` // of all that is written to {output} and {temp}
	OutputFiles int           `koanf:"output-files"` // files and folders in {output} and {temp}
	StdoutBytes Bytes         `koanf:"stdout-bytes"` // of standard output, where it is kept
}

// Exit says what the program's exit codes other than 0 mean. A program that a signal ends counts
// as one with exit code 128 and the signal's number, as shells have it.
type Exit struct {
	Permanent []int             `koanf:"permanent"` // the job fails at once, with the code handler_error
	Retry     []int             `koanf:"retry"`     // the job is tried again
	Codes     map[int]jobs.Code `koanf:"codes"`     // the job fails at once, with this code
	Other     Verdict           `koanf:"other"`     // what all others mean
}

// Verdict is what becomes of a job whose program failed.
type Verdict string

// The verdicts.
const (
	Retry     Verdict = "retry"
	Permanent Verdict = "permanent"
)

// Progress says how lines of the program's output tell how far it is. A line ends at a newline or a
// carriage return.
type Progress struct {
	// Pattern is a regular expression (RE2) with one group, a number, or two: what is done, and of
	// how much. Numbers may be times such as 01:02:03.5. Empty means that nothing is told.
	Pattern string `koanf:"pattern"`
	// Total is one with one group, for programs that say only once how much there is to do.
	Total string `koanf:"total"`
	Unit  Unit   `koanf:"unit"` // of a single group where there is no Total
	From  Stream `koanf:"from"`
}

// Unit is what a number that stands alone counts.
type Unit string

// The units.
const (
	Percent  Unit = "percent"
	Fraction Unit = "fraction"
)

// Stream is one of a program's outputs.
type Stream string

// The streams.
const (
	FromStdout Stream = "stdout"
	FromStderr Stream = "stderr"
)

// Stdout is what becomes of a program's standard output.
type Stdout string

// What there is to do with it: drop it, keep it as the artifact "stdout", or store it as the job's
// result, which it must be in JSON of at most jobs.MaxResult bytes.
const (
	Discard  Stdout = "discard"
	Artifact Stdout = "artifact"
	Result   Stdout = "result"
)

// DefaultPath is the program's PATH unless another is declared.
const DefaultPath = "/usr/local/bin:/usr/bin:/bin"

// WithDefaults fills in what is not said: version 1, 1 GiB of memory, 10 minutes of processor time,
// 256 open files, 1 GiB of output in 1000 files, 1 MiB of standard output, which is discarded, exit
// codes that are retried, and progress in percent on standard error.
func (c Command) WithDefaults() Command {
	set(&c.Version, 1)
	set(&c.Timeout, jobs.DefaultTimeout)
	set(&c.Stdout, Discard)
	set(&c.Exit.Other, Retry)
	set(&c.Progress.Unit, Percent)
	set(&c.Progress.From, FromStderr)
	set(&c.Limits.Memory, 1<<30)
	set(&c.Limits.CPU, 10*time.Minute)
	set(&c.Limits.OpenFiles, 256)
	set(&c.Limits.OutputBytes, 1<<30)
	set(&c.Limits.OutputFiles, 1000)
	set(&c.Limits.StdoutBytes, 1<<20)
	return c
}

func set[T comparable](value *T, to T) {
	var zero T
	if *value == zero {
		*value = to
	}
}

// Spec describes the kind. The error is the declaration's first fault, as Check gives it.
func (c Command) Spec() (jobs.Spec, error) {
	c = c.WithDefaults()
	if err := c.Check(); err != nil {
		return jobs.Spec{}, err
	}
	params, check := c.params()
	return jobs.Spec{
		Name: c.Name, Version: c.Version, Summary: c.Summary,
		Params: params, Check: check, Reusable: c.Reusable,
		MediaTypes: slices.Clone(c.MediaTypes), Queue: c.Queue,
		Retry: c.retry(), Timeout: c.Timeout, Concurrency: c.Concurrency,
	}, nil
}

// retry is the default policy with what is declared of it.
func (c *Command) retry() jobs.Retry {
	r := jobs.DefaultRetry()
	if c.MaxAttempts != 0 {
		r.MaxAttempts = c.MaxAttempts
	}
	if c.RetryBase != 0 {
		r.Base = c.RetryBase
	}
	if c.RetryFactor != 0 {
		r.Factor = c.RetryFactor
	}
	if c.RetryCap != 0 {
		r.Cap = c.RetryCap
	}
	if c.RetryJitter != nil {
		r.Jitter = *c.RetryJitter
	}
	return r
}

// paramNames lists the declared parameters in the order in which they are documented.
func (c *Command) paramNames() []string { return slices.Sorted(maps.Keys(c.Params)) }
