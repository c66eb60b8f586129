package inspect

// chunk is how much of a file is read at once when all of it is read, in bytes.
const chunk = 128 << 10

// meter reports progress: it is written all that is read.
type meter struct {
	report      func(fraction float64)
	done, total int64 // bytes
}

// Write implements io.Writer.
func (m *meter) Write(p []byte) (int, error) {
	m.done += int64(len(p))
	m.report(float64(m.done) / float64(max(m.total, 1)))
	return len(p), nil
}
