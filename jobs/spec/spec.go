// Package spec describes every kind of work that Leat brings along, apart from the code that does
// it: what validates and documents kinds imports this package and links no decoder.
//
// It imports only package jobs. Each kind has a file of its own here, and its handler in the folder
// of the kind's name beside it.
package spec

import "github.com/leat-dev/leat/jobs"

// All puts the specs together; files that no other kind takes are inspected.
func All() (*jobs.Specs, error) {
	return jobs.NewSpecs(Inspect().Name, Inspect(), Image(), Table(), Archive(), Document())
}
