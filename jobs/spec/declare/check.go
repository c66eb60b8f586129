package declare

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/leat-dev/leat/jobs"
)

// Check reports the first thing in the declaration that makes no sense, with the kind's name and
// the key that it stands under. Whether the program is there is not asked: only workers need it.
func (c Command) Check() error {
	c = c.WithDefaults()
	for _, part := range []struct {
		key   string
		check func() error
	}{
		{"", func() error { return jobs.CheckName(c.Name) }},
		{"", c.checkNumbers},
		{"argv", c.checkArgv},
		{"params", c.checkParams},
		{"env", c.checkEnv},
		{"media-types", c.checkMediaTypes},
		{"limits", c.Limits.check},
		{"exit", c.Exit.check},
		{"progress", c.Progress.check},
		{"stdout", c.checkStdout},
	} {
		err := part.check()
		if err != nil && part.key != "" {
			err = fmt.Errorf("%s: %w", part.key, err)
		}
		if err != nil {
			return fmt.Errorf("command %q: %w", c.Name, err)
		}
	}
	return nil
}

func (c *Command) checkNumbers() error {
	switch {
	case c.Name == jobs.Auto:
		return errors.New("the name is reserved")
	case c.Version < 1:
		return errors.New("version must be at least 1")
	case c.Timeout < 0:
		return errors.New("timeout is negative")
	case c.Concurrency < 0:
		return errors.New("concurrency is negative")
	case c.Queue != "" && jobs.CheckName(c.Queue) != nil:
		return fmt.Errorf("queue: %w", jobs.CheckName(c.Queue))
	}
	return c.retry().Validate()
}

func (c *Command) checkArgv() error {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return errors.New("names no program")
	}
	if program := c.Argv[0]; strings.ContainsAny(program, "{}") || strings.Contains(program, "/") && !path.IsAbs(program) {
		return fmt.Errorf("the program %q is neither an absolute path nor a plain name", program)
	}
	for i, arg := range c.Argv {
		if err := c.checkTemplate(arg); err != nil {
			return fmt.Errorf("argument %d: %w", i, err)
		}
	}
	return nil
}

// checkTemplate tells whether each placeholder stands for something.
func (c *Command) checkTemplate(text string) error {
	t, err := ParseTemplate(text)
	if err != nil {
		return err
	}
	for _, name := range t.params() {
		if _, ok := c.Params[name]; !ok {
			return fmt.Errorf("the parameter %q is not declared", name)
		}
	}
	return nil
}

func (c *Command) checkParams() error {
	for _, name := range c.paramNames() {
		if !isParamName(name) {
			return fmt.Errorf("%q: use a letter of a-z, then up to 62 of a-z, 0-9 and '_'", name)
		}
		p := c.Params[name]
		if p.Pattern == "" {
			return fmt.Errorf("%s: has no pattern", name)
		}
		if _, err := wholePattern(p.Pattern); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := c.checkValue(name, p.Default); err != nil && p.Default != "" {
			return fmt.Errorf("%s: the default %w", name, err)
		}
	}
	return nil
}

func (c *Command) checkEnv() error {
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("%q is not a variable's name", name)
		}
		if err := c.checkTemplate(c.Env[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (c *Command) checkMediaTypes() error {
	for _, t := range c.MediaTypes {
		top, sub, ok := strings.Cut(t, "/")
		if !ok || top == "" || top == "*" || sub == "" || strings.ContainsAny(t, " ;,") || strings.ToLower(t) != t ||
			strings.Contains(sub, "*") && sub != "*" {
			return fmt.Errorf("%q is not a media type such as image/png or image/*", t)
		}
	}
	return nil
}

func (c *Command) checkStdout() error {
	switch {
	case !slices.Contains([]Stdout{Discard, Artifact, Result}, c.Stdout):
		return fmt.Errorf("%q is not %s, %s or %s", c.Stdout, Discard, Artifact, Result)
	case c.Stdout == Result && c.Limits.StdoutBytes > jobs.MaxResult:
		return fmt.Errorf("a result has at most %d bytes, which limits.stdout-bytes is above", jobs.MaxResult)
	}
	return nil
}

func (l Limits) check() error {
	switch {
	case l.Memory < 1<<20:
		return errors.New("memory is below 1MiB")
	case l.CPU < time.Second || l.CPU%time.Second != 0 || l.CPU > math.MaxInt32*time.Second:
		return errors.New("cpu is not in whole seconds, of which there must be one")
	case l.OpenFiles < 8:
		return errors.New("open-files is below 8")
	case l.OutputBytes < 0 || l.OutputFiles < 0 || l.StdoutBytes < 0:
		return errors.New("one is negative")
	}
	return nil
}

func (e Exit) check() error {
	if e.Other != Retry && e.Other != Permanent {
		return fmt.Errorf("other: %q is not %s or %s", e.Other, Retry, Permanent)
	}
	seen := map[int]bool{}
	for _, code := range slices.Concat(e.Permanent, e.Retry, slices.Sorted(maps.Keys(e.Codes))) {
		if code < 1 || code > 255 {
			return fmt.Errorf("%d is not an exit code from 1 to 255", code)
		}
		if seen[code] {
			return fmt.Errorf("%d is there twice", code)
		}
		seen[code] = true
	}
	for _, code := range slices.Sorted(maps.Keys(e.Codes)) {
		if err := jobs.CheckName(string(e.Codes[code])); err != nil {
			return fmt.Errorf("codes: %w", err)
		}
	}
	return nil
}

func (p Progress) check() error {
	switch {
	case p.Unit != Percent && p.Unit != Fraction:
		return fmt.Errorf("unit: %q is not %s or %s", p.Unit, Percent, Fraction)
	case p.From != FromStdout && p.From != FromStderr:
		return fmt.Errorf("from: %q is not %s or %s", p.From, FromStdout, FromStderr)
	case p.Pattern != "":
		return p.checkPatterns()
	case p.Total != "":
		return errors.New("total is of no use without a pattern")
	}
	return nil
}

// checkPatterns tells whether the patterns find the numbers that they are there for.
func (p Progress) checkPatterns() error {
	pattern, err := regexp.Compile(p.Pattern)
	if err != nil {
		return fmt.Errorf("pattern: %w", err)
	}
	total, err := regexp.Compile(p.Total)
	if err != nil {
		return fmt.Errorf("total: %w", err)
	}
	switch groups := pattern.NumSubexp(); {
	case groups != 1 && groups != 2:
		return fmt.Errorf("pattern: has %d groups, not one or two", groups)
	case p.Total != "" && groups != 1:
		return errors.New("pattern: has two groups, and there is a total too")
	case p.Total != "" && total.NumSubexp() != 1:
		return fmt.Errorf("total: has %d groups, not one", total.NumSubexp())
	}
	return nil
}
