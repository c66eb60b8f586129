package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/api/wire"
)

func (r *remote) kindsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "kinds [NAME…]", Short: "List the kinds of work that the server does, with their parameters",
		RunE: func(cmd *cobra.Command, names []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			kinds, err := c.Kinds(cmd.Context())
			if err != nil {
				return err
			}
			if kinds, err = chosen(kinds, names); err != nil {
				return err
			}
			for i, kind := range kinds {
				text := func(w io.Writer) error { return showKind(w, &kind, i > 0) }
				if err := r.print(text, kind); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// chosen picks the kinds that are named; all of them when none is.
func chosen(kinds []wire.Kind, names []string) ([]wire.Kind, error) {
	if len(names) == 0 {
		return kinds, nil
	}
	picked := make([]wire.Kind, len(names))
	for i, name := range names {
		at := slices.IndexFunc(kinds, func(k wire.Kind) bool { return k.Name == name })
		if at < 0 {
			return nil, usage("the server has no kind %q", name)
		}
		picked[i] = kinds[at]
	}
	return picked, nil
}

func showKind(w io.Writer, kind *wire.Kind, below bool) error {
	if below {
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s, version %d\n  %s\n", kind.Name, kind.Version, kind.Summary)
	if len(kind.MediaTypes) > 0 {
		fmt.Fprintf(w, "  chosen for %s\n", strings.Join(kind.MediaTypes, ", "))
	}
	reuse := ""
	if kind.Reusable {
		reuse = ", done once for the same bytes"
	}
	timeout := time.Duration(kind.Timeout * float64(time.Second))
	fmt.Fprintf(w, "  queue %s, %d attempts of at most %v%s\n", kind.Queue, kind.MaxAttempts, timeout, reuse)
	if len(kind.Params) == 0 {
		_, err := fmt.Fprintln(w, "  no parameters")
		return err
	}
	var root schema
	if err := json.Unmarshal(kind.Params, &root); err != nil {
		return fmt.Errorf("read the parameters of kind %s: %w", kind.Name, err)
	}
	return table(w, func(line func(...any)) {
		for _, p := range root.params("", root.Defs) {
			line("    "+p.name, p.kind, p.doc)
		}
	})
}

// schema is what is shown of a JSON Schema of parameters.
type schema struct {
	Ref         string             `json:"$ref"`
	Defs        map[string]*schema `json:"$defs"`
	Type        any                `json:"type"` // a name, or a list of them
	Description string             `json:"description"`
	Properties  map[string]*schema `json:"properties"`
	Required    []string           `json:"required"`
	Items       *schema            `json:"items"`
	Enum        []any              `json:"enum"`
	Minimum     *float64           `json:"minimum"`
	Maximum     *float64           `json:"maximum"`
}

// param is a parameter as it is shown: variants[].size.
type param struct{ name, kind, doc string }

// params lists the parameters below a schema, each before what is in it.
func (s *schema) params(prefix string, defs map[string]*schema) []param {
	var list []param
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		field := s.Properties[name].resolved(defs)
		at := prefix + name
		kind := field.kind()
		if slices.Contains(s.Required, name) {
			kind += ", required"
		}
		list = append(list, param{at, kind, field.Description})
		inner := field
		if field.Items != nil {
			at, inner = at+"[]", field.Items.resolved(defs)
		}
		list = append(list, inner.params(at+".", defs)...)
	}
	return list
}

// resolved follows a reference to $defs; what it says of the place itself stays.
func (s *schema) resolved(defs map[string]*schema) *schema {
	found := defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
	if found == nil {
		return s
	}
	at := *found
	if s.Description != "" {
		at.Description = s.Description
	}
	return &at
}

// kind says what a value must be.
func (s *schema) kind() string {
	var text string
	switch t := s.Type.(type) {
	case string:
		text = t
	case []any:
		names := make([]string, 0, len(t))
		for _, name := range t {
			if name != "null" {
				names = append(names, fmt.Sprint(name))
			}
		}
		text = strings.Join(names, " or ")
	}
	switch {
	case len(s.Enum) > 0:
		values := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			values[i] = fmt.Sprint(v)
		}
		return strings.Join(values, "|")
	case s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("%s %v to %v", text, *s.Minimum, *s.Maximum)
	case s.Minimum != nil:
		return fmt.Sprintf("%s from %v", text, *s.Minimum)
	}
	return text
}
