//go:build !linux

package command

import (
	"context"
	"errors"
	"os"
)

// errNotLaunched is of systems that have no such limits.
var errNotLaunched = errors.New("programs are run on Linux only")

const launched = ""

func supported() error { return errNotLaunched }

// Launch fails: programs are run on Linux only.
func Launch([]string) error { return errNotLaunched }

type process struct{ stdout, stderr, status *os.File }

func (h *handler) start(*folder, []string, []string) (*process, error) { return nil, errNotLaunched }

func (p *process) wait(context.Context) (ending, error) { return ending{}, errNotLaunched }

func (p *process) closeOutputs() {}
