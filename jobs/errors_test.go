package jobs_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/jobs"
)

func TestNilStaysNil(t *testing.T) {
	t.Parallel()
	if jobs.Permanent(nil) != nil || jobs.RetryAfter(time.Second, nil) != nil || jobs.IsPermanent(nil) {
		t.Error("no error became an error")
	}
}

func TestErrorsKeepTheirCause(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"permanent":   jobs.Permanent(io.ErrUnexpectedEOF),
		"retry after": jobs.RetryAfter(time.Second, io.ErrUnexpectedEOF),
	} {
		if !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != io.ErrUnexpectedEOF.Error() {
			t.Errorf("%s hides its cause: %v", name, err)
		}
	}
	if jobs.IsPermanent(jobs.RetryAfter(time.Second, io.EOF)) || jobs.IsPermanent(io.EOF) {
		t.Error("a passing error is permanent")
	}
	if jobs.IsPermanent(&jobs.Error{Code: jobs.CodeTimeout}) {
		t.Error("a code alone is permanent")
	}
}

func TestAsError(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 4096)
	var nothing *jobs.Error
	for _, c := range []struct {
		name string
		err  error
		want jobs.Error
	}{
		{"plain", io.EOF, jobs.Error{Code: jobs.CodeHandlerError, Message: "EOF"}},
		{"coded", jobs.Fail(jobs.CodeMalformed, "page %d", 3), jobs.Error{Code: jobs.CodeMalformed, Message: "page 3"}},
		{"an operator's code", jobs.Fail("no_ink", "x"), jobs.Error{Code: "no_ink", Message: "x"}},
		{
			"wrapped, the coded message is for people",
			fmt.Errorf("render: %w", jobs.Fail(jobs.CodeUnsupported, "x")),
			jobs.Error{Code: jobs.CodeUnsupported, Message: "x"},
		},
		{
			"joined",
			errors.Join(io.EOF, &jobs.Error{Code: jobs.CodeTimeout, Message: "x"}),
			jobs.Error{Code: jobs.CodeTimeout, Message: "x"},
		},
		{"bytes that are not UTF-8", errors.New("a\xffb"), jobs.Error{Code: jobs.CodeHandlerError, Message: "a\uFFFDb"}},
		{"NUL", jobs.Fail(jobs.CodeMalformed, "a\x00b"), jobs.Error{Code: jobs.CodeMalformed, Message: "a\uFFFDb"}},
		{"cut between runes", jobs.Fail(jobs.CodeMalformed, "x%s", long), jobs.Error{Code: jobs.CodeMalformed, Message: "x" + long[:4094]}},
		{"as long as it may be", errors.New(long[:4096]), jobs.Error{Code: jobs.CodeHandlerError, Message: long[:4096]}},
		{"no code", &jobs.Error{Message: "x"}, jobs.Error{Code: jobs.CodeHandlerError, Message: ": x"}},
		{"a code that cannot be stored", &jobs.Error{Code: "a\x00", Message: "x"}, jobs.Error{Code: jobs.CodeHandlerError, Message: "a\uFFFD: x"}},
		{"a nil *Error", nothing, jobs.Error{Code: jobs.CodeHandlerError, Message: "unknown error"}},
		{"a nil *Error, permanent", jobs.Permanent(nothing), jobs.Error{Code: jobs.CodeHandlerError, Message: "unknown error"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(&c.want, jobs.AsError(c.err)); diff != "" {
				t.Errorf("AsError (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever a handler puts into an error, the stored form fits a text column.
func TestAsErrorIsStorable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "code")
		message := rapid.SliceOfN(rapid.Byte(), 0, 6000).Draw(t, "message")
		err := jobs.Fail(jobs.Code(code), "%s", message)
		got := jobs.AsError(fmt.Errorf("wrapped: %w", err))
		for _, text := range []string{string(got.Code), got.Message} {
			if !utf8.ValidString(text) || strings.ContainsRune(text, 0) || len(text) > 4096 {
				t.Fatalf("%q cannot be stored", text)
			}
		}
		if got.Code == "" {
			t.Fatal("no code")
		}
	})
}

// Codes is what the documentation's table is made from, so every constant of type Code must be in
// it. The constants are read from the package's source.
func TestCodesAreComplete(t *testing.T) {
	t.Parallel()
	declared := declaredCodes(t)
	if len(declared) == 0 {
		t.Fatal("no Code constant was found in the source")
	}
	listed := map[string]bool{}
	for _, c := range jobs.Codes() {
		if listed[string(c.Code)] {
			t.Errorf("%s is listed twice", c.Code)
		}
		listed[string(c.Code)] = true
		if jobs.CheckName(string(c.Code)) != nil || !strings.HasSuffix(c.Meaning, ".") {
			t.Errorf("%s: its name or meaning is not fit to be shown: %q", c.Code, c.Meaning)
		}
	}
	if diff := cmp.Diff(declared, slices.Sorted(maps.Keys(listed))); diff != "" {
		t.Errorf("codes in the source and in Codes (-source +listed):\n%s", diff)
	}
}

func declaredCodes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for node := range ast.Preorder(file) {
			if decl, ok := node.(*ast.GenDecl); ok && decl.Tok == token.CONST {
				codes = append(codes, codesOf(t, decl)...)
			}
		}
	}
	slices.Sort(codes)
	return codes
}

// codesOf gives the values of a declaration's constants that are codes by their type or name.
func codesOf(t *testing.T, decl *ast.GenDecl) (codes []string) {
	t.Helper()
	for _, s := range decl.Specs {
		spec, ok := s.(*ast.ValueSpec)
		if !ok {
			continue
		}
		kind, _ := spec.Type.(*ast.Ident)
		if kind == nil && !strings.HasPrefix(spec.Names[0].Name, "Code") || kind != nil && kind.Name != "Code" {
			continue
		}
		for _, value := range spec.Values {
			literal, ok := value.(*ast.BasicLit)
			if !ok {
				t.Fatalf("%v: write codes as literals of type Code", spec.Names)
			}
			code, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, code)
		}
	}
	return codes
}
