package command

import "path/filepath"

// Number reads a number of a line of progress.
func Number(text string) float64 { return number([]byte(text)) }

// Unique names files as artifacts, one after the other.
func Unique(names ...string) []string {
	c := &collector{names: map[string]bool{}}
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = c.unique(name)
	}
	return out
}

// Folder makes a run's folder and gives its output folder, and what removes it all.
func Folder(scratch string) (output string, remove func() error, err error) {
	f, err := newFolder(scratch)
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(f.path, outputDir), f.remove, nil
}
