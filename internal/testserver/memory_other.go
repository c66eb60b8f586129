//go:build !linux

package testserver

const memoryRoot = ""

func hasRoom(string) bool { return false }
