// Package archtest checks who imports whom. The rules are in rules_test.go.
package archtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pkg is a package as go list tells of it, tests left out.
type pkg struct {
	ImportPath string
	Imports    []string // directly
	Deps       []string // directly or not
}

func TestImports(t *testing.T) {
	t.Parallel()
	pkgs := list(t)
	if len(pkgs) == 0 {
		t.Fatal("go list finds no package")
	}
	for _, fault := range slices.Concat(checkImports(pkgs), checkLibraries(pkgs), checkPrograms(pkgs)) {
		t.Error(fault)
	}
}

// list returns the packages of the module.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", module+"/...")
	stderr := new(bytes.Buffer)
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// ours returns the path of a package within the module.
func ours(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// under says whether the path is the pattern or below it.
func under(path, pattern string) bool {
	names, want := strings.Split(path, "/"), strings.Split(pattern, "/")
	if len(names) < len(want) {
		return false
	}
	for i := range want {
		if want[i] != "*" && want[i] != names[i] {
			return false
		}
	}
	return true
}

// ruleOf returns the line of the imports table that a package falls under: of
// those that match the longest, and of these one without a star.
func ruleOf(path string) (string, bool) {
	best, found := "", false
	for rule := range imports {
		if under(path, rule) && (!found || weight(rule) > weight(best)) {
			best, found = rule, true
		}
	}
	return best, found
}

func weight(rule string) int { return 2*strings.Count(rule, "/") - strings.Count(rule, "*") }

func isFree(path string) bool {
	return slices.ContainsFunc(free, func(pattern string) bool { return under(path, pattern) })
}

// checkImports returns what breaks the imports table.
func checkImports(pkgs []pkg) []string {
	var faults []string
	for _, p := range pkgs {
		path, _ := ours(p.ImportPath)
		rule, known := ruleOf(path)
		if !known && !isFree(path) {
			faults = append(faults, fmt.Sprintf("%s has no rule: add it to the imports table", path))
			continue
		}
		for _, imported := range p.Imports {
			if to, ok := ours(imported); ok && !mayImport(path, rule, to) {
				faults = append(faults, fmt.Sprintf("%s must not import %s", path, to))
			}
		}
	}
	return faults
}

func mayImport(path, rule, to string) bool {
	toRule, _ := ruleOf(to)
	switch {
	case isFree(path), toRule == "telemetry", toRule != "" && toRule == rule:
		return true
	case isFree(to):
		return false
	case slices.Contains(imports[rule], anything):
		return true
	default:
		return slices.Contains(imports[rule], toRule)
	}
}

// checkLibraries returns who imports a library that is not theirs.
func checkLibraries(pkgs []pkg) []string {
	var faults []string
	for _, p := range pkgs {
		path, _ := ours(p.ImportPath)
		if isFree(path) {
			continue
		}
		for _, imported := range p.Imports {
			for library, users := range libraries {
				allowed := slices.ContainsFunc(users, func(user string) bool { return under(path, user) })
				if under(imported, library) && !allowed {
					faults = append(faults, fmt.Sprintf("%s must not import %s", path, imported))
				}
			}
		}
	}
	return faults
}

// checkPrograms returns what programs contain and must not.
func checkPrograms(pkgs []pkg) []string {
	var faults []string
	for _, p := range pkgs {
		path, _ := ours(p.ImportPath)
		for _, dep := range p.Deps {
			for _, pattern := range programs[path] {
				if contains(dep, pattern) {
					faults = append(faults, fmt.Sprintf("%s must not contain %s", path, dep))
				}
			}
		}
	}
	return faults
}

// contains says whether a dependency is what the pattern means; a pattern of ours
// means the packages of one line of the imports table.
func contains(dep, pattern string) bool {
	rule, isOurs := ours(pattern)
	if !isOurs {
		return under(dep, pattern)
	}
	path, isOurs := ours(dep)
	if !isOurs {
		return false
	}
	depRule, _ := ruleOf(path)
	return depRule == rule
}

// The rules are worth something only if breaking them is noticed.
func TestBrokenRulesAreFound(t *testing.T) {
	t.Parallel()
	of := func(path string, imports ...string) pkg {
		return pkg{ImportPath: module + "/" + path, Imports: imports, Deps: imports}
	}
	our := func(path string) string { return module + "/" + path }
	for _, test := range []struct {
		pkg  pkg
		want []string
	}{
		{of("jobs", "context", our("telemetry")), nil},
		{of("jobs", our("store")), []string{"jobs must not import store"}},
		{of("jobs/image", our("jobs"), our("jobs/sniff"), "image/png"), nil},
		{of("jobs/image", our("worker")), []string{"jobs/image must not import worker"}},
		{of("jobs/spec", our("jobs/image")), []string{"jobs/spec must not import jobs/image"}},
		{of("api/internal/forms", our("api"), our("jobs/spec")), nil},
		{of("api", our("jobs/image")), []string{"api must not import jobs/image"}},
		{of("api", our("store/postgres")), []string{"api must not import store/postgres"}},
		{of("store/postgres", our("store"), "github.com/jackc/pgx/v5"), nil},
		{of("worker", "github.com/jackc/pgx/v5/pgxpool"), []string{"worker must not import github.com/jackc/pgx/v5/pgxpool"}},
		{of("app/embedded", our("store/sqlite"), our("queue/embedded")), nil},
		{of("app", our("internal/testserver")), []string{"app must not import internal/testserver"}},
		{of("cmd/api", our("app/production")), nil},
		{of("cmd/api", "modernc.org/sqlite/lib"), []string{
			"cmd/api must not import modernc.org/sqlite/lib", "cmd/api must not contain modernc.org/sqlite/lib",
		}},
		{of("cmd/api", "image/jpeg"), []string{"cmd/api must not contain image/jpeg"}},
		{pkg{ImportPath: our("cmd/api"), Deps: []string{our("jobs/image"), our("jobs/spec"), our("jobs/sniff")}}, []string{
			"cmd/api must not contain " + our("jobs/image"),
		}},
		{pkg{ImportPath: our("cmd/worker"), Deps: []string{"k8s.io/client-go/rest", "image/jpeg"}}, []string{
			"cmd/worker must not contain k8s.io/client-go/rest",
		}},
		{of("integration/chaos", our("store/postgres"), "github.com/hibiken/asynq"), nil},
		{of("mailer"), []string{"mailer has no rule: add it to the imports table"}},
	} {
		pkgs := []pkg{test.pkg}
		got := slices.Concat(checkImports(pkgs), checkLibraries(pkgs), checkPrograms(pkgs))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (want -, got +):\n%s", test.pkg.ImportPath, diff)
		}
	}
}

// A line that a longer one hides, or that names nothing, would be dead.
func TestRulesNameEachOther(t *testing.T) {
	t.Parallel()
	for rule, allowed := range imports {
		for _, name := range allowed {
			if _, ok := imports[name]; !ok && name != anything {
				t.Errorf("%s may import %s, which has no rule", rule, name)
			}
		}
	}
}
