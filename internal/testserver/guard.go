package testserver

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// guard is a shell that outlives the test binary by a moment. It reads a pipe
// which only the test binary writes to; when that ends, by Close or because the
// kernel closed it behind a killed process, the guard ends what runs in the
// folder and removes the folder.
type guard struct {
	pipe *os.File
	cmd  *exec.Cmd
}

// watch is given the folder and the signal that ends the server and its children
// at once. A paused server takes signals only after a SIGCONT. A process in state Z
// has ended, and its parent does not collect it.
const watch = `
while read -r _; do :; done
if read -r pid <"$1/pid"; then
	kill -"$2" "$pid" && kill -CONT "$pid"
	n=0
	while [ $n -lt 100 ] && kill -0 "$pid" && ! grep -q ') Z' "/proc/$pid/stat"; do sleep 0.1; n=$((n + 1)); done
	kill -KILL "$pid"
fi
rm -rf "$1"
`

// clean is given the name of a container and the address of its engine.
const clean = `
while read -r _; do :; done
DOCKER_HOST="$2" docker rm -f -v "$1"
`

func newGuard(dir string, as *syscall.Credential, quit syscall.Signal) (*guard, error) {
	return startGuard(as, watch, dir, signalNames[quit])
}

// signalNames are the names that every kill command knows.
var signalNames = map[syscall.Signal]string{
	syscall.SIGKILL: "KILL",
	syscall.SIGQUIT: "QUIT",
}

func startGuard(as *syscall.Credential, script string, args ...string) (*guard, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "leat-testserver"}, args...)...)
	cmd.Dir = "/"
	cmd.Stdin = read
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: as}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return &guard{pipe: write, cmd: cmd}, nil
}

// release tells the guard that the test is over and waits until it has cleaned up.
func (g *guard) release() error {
	if g == nil {
		return nil
	}
	return errors.Join(g.pipe.Close(), g.cmd.Wait())
}
