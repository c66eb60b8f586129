package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// rlimits are what the launcher is told.
type rlimits struct {
	Memory    uint64 `json:"memory"` // bytes of address space
	CPU       uint64 `json:"cpu"`    // seconds
	OpenFiles uint64 `json:"open_files"`
	FileSize  uint64 `json:"file_size"` // bytes
}

// Launch makes of this process the program that args name: limited, and unable to gain rights. It
// is what the launcher of New calls with its arguments, and returns only when it fails. The caller
// then ends the process with an exit code other than 0.
func Launch(args []string) error {
	// Errors go to New's handler by a pipe of their own, since the outputs are the program's.
	status := os.NewFile(statusFD, "status")
	err := launch(args, status)
	_, writing := status.WriteString(err.Error())
	return errors.Join(err, writing)
}

// statusFD is the first of exec.Cmd's ExtraFiles.
const statusFD = 3

// launched is what the launcher says when nothing but the program's start is left to do.
const launched = "launched\n"

func launch(args []string, status *os.File) error {
	if len(args) < 2 {
		return errors.New("launch: there are no limits, or no program")
	}
	var limits rlimits
	if err := json.Unmarshal([]byte(args[0]), &limits); err != nil {
		return fmt.Errorf("launch: read the limits: %w", err)
	}
	if err := closeOnExec(); err != nil {
		return fmt.Errorf("launch: close what is open: %w", err)
	}
	runtime.LockOSThread() // what prctl changes is the thread's, which then becomes the program
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("launch: give up the right to gain rights: %w", err)
	}
	// start has set this on the first thread, which need not be the one that goes on.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("launch: die with the worker: %w", err)
	}
	if _, err := status.WriteString(launched); err != nil {
		return fmt.Errorf("launch: %w", err)
	}
	debug.SetGCPercent(-1) // nothing more may need memory once its limit is set
	if err := setLimits(limits); err != nil {
		return fmt.Errorf("launch: set the limits: %w", err)
	}
	return syscall.Exec(args[1], args[1:], os.Environ()) //nolint:gosec // this is what it is for
}

// closeOnExec keeps all but the standard streams from the program.
func closeOnExec() error {
	err := unix.CloseRange(statusFD, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) { // before Linux 5.11
		unix.CloseOnExec(statusFD)
		return nil
	}
	return err
}

// setLimits sets them for good, that of memory last. A program that goes on after the first signal
// for its processor time is killed a second later.
func setLimits(l rlimits) error {
	for _, limit := range []struct {
		resource  int
		soft, max uint64
	}{
		{unix.RLIMIT_CORE, 0, 0},
		{unix.RLIMIT_CPU, l.CPU, l.CPU + 1},
		{unix.RLIMIT_NOFILE, l.OpenFiles, l.OpenFiles},
		{unix.RLIMIT_FSIZE, l.FileSize, l.FileSize},
		{unix.RLIMIT_AS, l.Memory, l.Memory},
	} {
		var old unix.Rlimit
		if err := unix.Prlimit(0, limit.resource, nil, &old); err != nil {
			return err
		}
		limited := unix.Rlimit{Cur: min(limit.soft, old.Max), Max: min(limit.max, old.Max)} // only root may raise one
		if err := unix.Prlimit(0, limit.resource, &limited, nil); err != nil {
			return err
		}
	}
	return nil
}
