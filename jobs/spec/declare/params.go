package declare

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leat-dev/leat/jobs"
)

// MaxValue bounds a parameter's value, in bytes.
const MaxValue = 1024

// isParamName tells whether a name can stand in a placeholder and in a struct tag.
func isParamName(name string) bool {
	for i, r := range name {
		if (r < 'a' || r > 'z') && (i == 0 || (r < '0' || r > '9') && r != '_') {
			return false
		}
	}
	return name != "" && len(name) <= 63
}

// wholePattern compiles a pattern for whole values. It is compiled alone first, so that it cannot
// close the group that it is put into.
func wholePattern(pattern string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// params gives the struct that the kind's parameters are read into, with the check of its fields:
// nil and nil for a kind without parameters.
func (c *Command) params() (any, func(any) error) {
	names := c.paramNames()
	if len(names) == 0 {
		return nil, nil
	}
	fields := make([]reflect.StructField, len(names))
	for i, name := range names {
		fields[i] = reflect.StructField{
			Name: "P" + name, // exported, whatever the name begins with
			Type: reflect.TypeFor[string](),
			Tag:  c.paramTag(name),
		}
	}
	declared := *c
	check := func(params any) error {
		v := reflect.ValueOf(params).Elem()
		for i, name := range names {
			value := v.Field(i)
			if value.String() == "" {
				value.SetString(declared.Params[name].Default)
			}
			if err := declared.checkValue(name, value.String()); err != nil {
				return &jobs.ParamError{Field: name, Reason: err.Error()}
			}
		}
		return nil
	}
	return reflect.Zero(reflect.StructOf(fields)).Interface(), check
}

// paramTag describes a parameter to those who make a schema of the struct. One that cannot be left
// out has no omitempty.
func (c *Command) paramTag(name string) reflect.StructTag {
	p := c.Params[name]
	key := name
	if c.checkValue(name, p.Default) == nil {
		key += ",omitempty"
	}
	tag := fmt.Sprintf(`json:%q doc:%q pattern:%q`, key, p.Doc, "^(?:"+p.Pattern+")$")
	if p.Default != "" {
		tag += fmt.Sprintf(` default:%q`, p.Default)
	}
	return reflect.StructTag(tag)
}

// CheckValues tells whether a run's parameters are the declared ones with values that they may
// have. Errors are *jobs.ParamError.
func (c Command) CheckValues(values map[string]string) error {
	for name := range values {
		if _, ok := c.Params[name]; !ok {
			return &jobs.ParamError{Field: name, Reason: "is not declared"}
		}
	}
	for _, name := range c.paramNames() {
		if err := c.checkValue(name, values[name]); err != nil {
			return &jobs.ParamError{Field: name, Reason: err.Error()}
		}
	}
	return nil
}

// checkValue tells whether a value can stand where the parameter's placeholders are: whatever the
// pattern allows, it cannot end an argument early, nor turn one into an option.
func (c *Command) checkValue(name, value string) error {
	pattern, err := wholePattern(c.Params[name].Pattern)
	switch {
	case err != nil:
		return err
	case len(value) > MaxValue:
		return fmt.Errorf("is over %d bytes long", MaxValue)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("holds control characters")
	case !pattern.MatchString(value):
		return fmt.Errorf("does not match %s", c.Params[name].Pattern)
	case strings.HasPrefix(value, "-") && c.beginsArgument(name):
		return errors.New("begins with a dash, as an option does")
	}
	return nil
}

// beginsArgument tells whether the parameter's value is the first thing in an argument. Parameters
// before it may be empty, so it is also one that comes behind nothing but other parameters.
func (c *Command) beginsArgument(name string) bool {
	for _, arg := range c.Argv {
		t, err := ParseTemplate(arg)
		if err != nil {
			return true // no such argument passes Check
		}
		for _, part := range t {
			if part.param == "" {
				break
			}
			if part.param == name {
				return true
			}
		}
	}
	return false
}
