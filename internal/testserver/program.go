package testserver

import (
	"os/exec"
	"path/filepath"
)

// Program finds a program that a test needs beside the servers, also in the
// folders of the system's administrator, which are not in everybody's path. One
// that is not there is installed as the Debian package pkg, as the servers are.
func Program(tb TB, name, pkg string) string {
	tb.Helper()
	find := func() string {
		for _, candidate := range []string{name, filepath.Join("/usr/sbin", name)} {
			if path, err := exec.LookPath(candidate); err == nil {
				return path
			}
		}
		return ""
	}
	if find() == "" {
		if err := install(tb.Context(), pkg, find); err != nil {
			tb.Fatalf("%s is not installed, and cannot be: %v", name, err)
		}
	}
	path := find()
	if path == "" {
		tb.Fatalf("%s is not there although the package %s is installed", name, pkg)
	}
	return path
}
