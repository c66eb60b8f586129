//go:build !linux

package testserver

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// childrenOf returns the processes whose parent is pid.
func childrenOf(pid int) ([]int, error) {
	out, err := exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil, nil // there are none
	}
	if err != nil {
		return nil, fmt.Errorf("pgrep: %w", err)
	}
	var children []int
	for _, field := range strings.Fields(string(out)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("pgrep: %w", err)
		}
		children = append(children, child)
	}
	return children, nil
}

// standsStill says whether a child of this process has been stopped or has ended.
func standsStill(pid int) (bool, error) {
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return false, fmt.Errorf("ps: %w", err)
	}
	state := strings.TrimSpace(string(out))
	return strings.HasPrefix(state, "T") || strings.HasPrefix(state, "Z"), nil
}
