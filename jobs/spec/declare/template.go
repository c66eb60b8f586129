package declare

import (
	"errors"
	"fmt"
	"strings"
)

// Template is an argument, or a variable's value, with placeholders.
type Template []part

// part is one piece of a template: literal text, a path or a parameter.
type part struct {
	text  string
	path  string // input, output or temp
	param string // its name
}

// Paths are what the placeholders that depend on the run stand for.
type Paths struct {
	Input, Output, Temp string
}

// errBrace is of text that may be meant as a placeholder and is none.
var errBrace = errors.New("a brace that is none of a placeholder's is written twice")

// ParseTemplate reads a template, as Command.Argv describes it.
func ParseTemplate(text string) (Template, error) {
	if strings.ContainsRune(text, 0) {
		return nil, errors.New("holds a NUL character")
	}
	var t Template
	for text != "" {
		i := strings.IndexAny(text, "{}")
		if i < 0 {
			return append(t, part{text: text}), nil
		}
		if i > 0 {
			t = append(t, part{text: text[:i]})
			text = text[i:]
		}
		if strings.HasPrefix(text, "{{") || strings.HasPrefix(text, "}}") {
			t = append(t, part{text: text[:1]})
			text = text[2:]
			continue
		}
		name, rest, found := strings.Cut(text[1:], "}")
		if text[0] == '}' || !found {
			return nil, errBrace
		}
		p, err := placeholder(name)
		if err != nil {
			return nil, err
		}
		t, text = append(t, p), rest
	}
	return t, nil
}

func placeholder(name string) (part, error) {
	switch name {
	case "input", "output", "temp":
		return part{path: name}, nil
	}
	if param, ok := strings.CutPrefix(name, "param."); ok && isParamName(param) {
		return part{param: param}, nil
	}
	return part{}, fmt.Errorf("there is no placeholder {%.80s}", name)
}

// Fill puts paths and parameters in the template's places, once: what they hold is never read as a
// template.
func (t Template) Fill(paths Paths, params map[string]string) string {
	var b strings.Builder
	for _, p := range t {
		switch {
		case p.param != "":
			b.WriteString(params[p.param])
		case p.path == "input":
			b.WriteString(paths.Input)
		case p.path == "output":
			b.WriteString(paths.Output)
		case p.path == "temp":
			b.WriteString(paths.Temp)
		default:
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// params lists the parameters that the template needs.
func (t Template) params() []string {
	var names []string
	for _, p := range t {
		if p.param != "" {
			names = append(names, p.param)
		}
	}
	return names
}
