package spec

import (
	"time"

	"github.com/leat-dev/leat/jobs"
)

// Inspect is the kind that tells what a file is. It takes any file and no parameters.
func Inspect() jobs.Spec {
	return jobs.Spec{
		Name:     "inspect",
		Version:  1,
		Summary:  "Tells what a file is: size, SHA-256, media type, and for text, images and archives what is in them.",
		Reusable: true,
		Timeout:  time.Hour, // reads some terabytes, or unpacks the most that it ever unpacks
	}
}
