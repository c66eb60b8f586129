// Command gendocs writes those pages of docs/ that are made from the code, or have some of it: the
// table of error codes, the options, and how handlers are written. A test fails when they are not current.
//
// It may import anything of Leat; only people run it: go run ./internal/gendocs.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/jobs"
)

func main() {
	made, err := pages("docs")
	if err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
	for name, text := range made {
		if err := os.WriteFile(filepath.Join("docs", name), []byte(text), 0o644); err != nil { //nolint:gosec // documentation is for everybody to read
			fmt.Fprintln(os.Stderr, "gendocs:", err)
			os.Exit(1)
		}
	}
}

// pages gives the generated pages by their file's name, in the folder that has them.
func pages(docs string) (map[string]string, error) {
	handlers, err := handlersPage(docs)
	if err != nil {
		return nil, err
	}
	return map[string]string{"errors.md": errorsPage(), "configuration.md": configurationPage(), "handlers.md": handlers}, nil
}

// handlersPage is the page as it is, with the example's code as it is now.
func handlersPage(docs string) (string, error) {
	page, err := os.ReadFile(filepath.Join(docs, "handlers.md"))
	if err != nil {
		return "", err
	}
	code, err := os.ReadFile(filepath.Join(docs, "..", "examples", "wordcount", "main.go"))
	if err != nil {
		return "", err
	}
	const begin, end = "```go\n", "```\n"
	before, rest, found := strings.Cut(string(page), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", errors.New("handlers.md has no place for the code")
	}
	return before + begin + string(code) + end + after, nil
}

const generated = "<!-- Made from the code by: go run ./internal/gendocs -->\n\n"

func errorsPage() string {
	var b strings.Builder
	b.WriteString(generated + "# Error codes\n\n## Of requests\n\n" +
		"A refused request is answered with `application/problem+json` (RFC 9457) and one of these codes.\n\n" +
		"| code | status | what it means | may succeed later |\n|---|---|---|---|\n")
	for _, c := range api.ErrorCodes() {
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s |\n", c.Code, c.Status, c.Meaning, yes(c.Retry))
	}
	b.WriteString("\n## Of jobs\n\nA failed job, or a failed attempt, carries one of these codes in `error.code`. Handlers of your own may add others.\n\n" +
		"| code | what it means | tried again while attempts are left |\n|---|---|---|\n")
	for _, c := range jobs.Codes() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Code, c.Meaning, yes(c.Retried))
	}
	return b.String()
}

// programs tells which programs bind a group of options.
var programs = map[string][]string{
	"store":    {"api", "worker", "scaler", "leat migrate"},
	"redis":    {"api", "worker", "scaler"},
	"blob":     {"api", "worker"},
	"api":      {"api"},
	"worker":   {"worker"},
	"scaler":   {"scaler"},
	"serve":    {"api", "worker", "scaler", "leat up"},
	"dispatch": {"api", "worker", "leat up"},
	"up":       {"leat up"},
}

func configurationPage() string {
	var b strings.Builder
	b.WriteString(generated + "# Configuration\n\n" +
		"Each option is a flag (`--name`), an environment variable (`LEAT_NAME`) and a key of the YAML file that\n" +
		"`--config` or `LEAT_CONFIG` names. A flag beats the environment, which beats the file. Unknown keys and\n" +
		"values that cannot be are refused at start, with the option's name.\n\n" +
		"| option | environment | default | programs | |\n|---|---|---|---|---|\n")
	for _, o := range config.Describe(config.Default()) {
		var in []string
		for _, g := range o.Groups {
			for _, p := range programs[g] {
				if !slices.Contains(in, p) {
					in = append(in, p)
				}
			}
		}
		value := ""
		if o.Default != "" {
			value = "`" + o.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", o.Name, config.EnvName(o.Name), value, strings.Join(in, ", "), o.Usage)
	}
	b.WriteString("\n`leat up` listens on `127.0.0.1:8080`, and its admin on `127.0.0.1:9090`, unless told otherwise.\n\n" +
		"Only the file has `kinds`, which changes what a kind brings; what is left out stays as it is:\n\n" +
		"```yaml\nkinds:\n  inspect:\n    timeout: 10m\n    concurrency: 4      # at once in one process\n    max-attempts: 3\n" +
		"    retry-base: 10s\n    retry-factor: 2\n    retry-cap: 1h\n    retry-jitter: 0.2\n```\n")
	b.WriteString("\nOnly the file has `commands`, which declares kinds of your own: a program that is run on each file. See\n" +
		"[kinds/command.md](kinds/command.md) for all that can be said of one. The api and the workers need the same\n" +
		"`commands`; the program itself is needed where workers run.\n\n" +
		"```yaml\ncommands:\n  ocr:\n    summary: Reads the text in a picture.\n" +
		"    argv: [tesseract, \"{input}\", \"{output}/text\"]\n    media-types: [image/png, image/jpeg]\n```\n")
	return b.String()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
