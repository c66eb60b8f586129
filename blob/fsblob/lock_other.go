//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package fsblob

import (
	"errors"
	"fmt"
	"os"
)

// lock fails where there is no lock that ends with its process.
func lock(*os.File) (File, error) {
	return nil, fmt.Errorf("lock a file: %w", errors.ErrUnsupported)
}
