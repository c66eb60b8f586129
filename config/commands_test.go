package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

const commands = `
commands:
  thumb:
    summary: Makes a small picture, of a film too.
    version: 2
    argv: [ffmpeg, -i, "{input}", "a,b", "{output}/thumb.png"]
    env: {HOME: "{temp}"}
    params:
      width: {pattern: "[0-9]+", default: "320", doc: in pixels}
    media-types: [video/*]
    queue: slow
    limits: {memory: 512MiB, cpu: 90s, open-files: 64, output-bytes: 1GB, output-files: 5, stdout-bytes: 100}
    exit: {permanent: [2, 3], retry: [4], codes: {1: infected}, other: permanent}
    progress: {pattern: "time=(.*)", total: "of (.*)", unit: fraction, from: stdout}
    stdout: artifact
    timeout: 5m
    concurrency: 2
    max-attempts: 3
    retry-base: 1s
    retry-factor: 1.5
    retry-cap: 1m
    retry-jitter: 0
  plain: {argv: [/bin/true]}
`

// All that can be declared of a kind comes through.
func TestFileDeclaresCommands(t *testing.T) {
	t.Parallel()
	got, err := load(t, nil, nil, commands)
	if err != nil {
		t.Fatal(err)
	}
	none := 0.0
	want := map[string]declare.Command{
		"thumb": {
			Name: "thumb", Summary: "Makes a small picture, of a film too.", Version: 2,
			Argv:       []string{"ffmpeg", "-i", "{input}", "a,b", "{output}/thumb.png"},
			Env:        map[string]string{"HOME": "{temp}"},
			Params:     map[string]declare.Param{"width": {Pattern: "[0-9]+", Default: "320", Doc: "in pixels"}},
			MediaTypes: []string{"video/*"}, Queue: "slow",
			Limits: declare.Limits{
				Memory: 512 << 20, CPU: 90 * time.Second, OpenFiles: 64,
				OutputBytes: 1e9, OutputFiles: 5, StdoutBytes: 100,
			},
			Exit: declare.Exit{
				Permanent: []int{2, 3}, Retry: []int{4}, Codes: map[int]jobs.Code{1: "infected"}, Other: declare.Permanent,
			},
			Progress: declare.Progress{Pattern: "time=(.*)", Total: "of (.*)", Unit: declare.Fraction, From: declare.FromStdout},
			Stdout:   declare.Artifact, Timeout: 5 * time.Minute, Concurrency: 2,
			MaxAttempts: 3, RetryBase: time.Second, RetryFactor: 1.5, RetryCap: time.Minute, RetryJitter: &none,
		},
		"plain": {Name: "plain", Argv: []string{"/bin/true"}},
	}
	if diff := cmp.Diff(want, got.Commands); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestWrongCommandIsNamed(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"sehll":                `{argv: [/bin/true], sehll: true}`,
		`command "x": argv`:    `{summary: none}`,
		"not a size":           `{argv: [/bin/true], limits: {memory: lots}}`,
		"{name}":               `{argv: [/bin/true, "{name}"]}`,
		"codes":                `{argv: [/bin/true], exit: {codes: {one: infected}}}`,
		"media-types: \"png\"": `{argv: [/bin/true], media-types: [png]}`,
	} {
		if _, err := load(t, nil, nil, "commands:\n  x: "+text+"\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that names %q", err, want)
		}
	}
}
