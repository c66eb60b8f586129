package simulate

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// ReadTrace makes a load of a file in CSV: when a job arrives, how long it takes, both in seconds, and
// its queue, which may be left out. A first line without numbers is a head. Ten minutes pass after
// the last job. Slots and start delay are those of a shape; the caller may set others. Its errors name
// the line.
func ReadTrace(name string, r io.Reader) (*Load, error) {
	l := newLoad(name, 1)
	lines := csv.NewReader(r)
	lines.FieldsPerRecord, lines.ReuseRecord, lines.TrimLeadingSpace, lines.Comment = -1, true, true, '#'
	for first := true; ; first = false {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("trace: %w", err)
		}
		line, _ := lines.FieldPos(0)
		job, err := parseJob(fields)
		if err != nil && first && !strings.ContainsAny(fields[0], "0123456789") {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("trace: line %d: %w", line, err)
		}
		l.Jobs = append(l.Jobs, job)
	}
	if len(l.Jobs) == 0 {
		return nil, errors.New("trace: no jobs")
	}
	sortJobs(l.Jobs)
	l.ends()
	return l, nil
}

// ends lets the load last until all is surely done, were there enough replicas.
func (l *Load) ends() {
	for _, j := range l.Jobs {
		l.For = max(l.For, j.At+j.Service)
	}
	l.For += 10 * time.Minute
}

func parseJob(fields []string) (Job, error) {
	if len(fields) < 2 || len(fields) > 3 {
		return Job{}, fmt.Errorf("%d fields, want arrival, service and perhaps queue", len(fields))
	}
	at, err := parseSeconds(fields[0])
	if err != nil {
		return Job{}, fmt.Errorf("arrival: %w", err)
	}
	service, err := parseSeconds(fields[1])
	if err != nil {
		return Job{}, fmt.Errorf("service: %w", err)
	}
	job := Job{At: at, Service: service}
	if len(fields) == 3 {
		job.Queue = strings.Clone(strings.TrimSpace(fields[2]))
	}
	return job, nil
}

// parseSeconds reads a time of at most a year.
func parseSeconds(text string) (time.Duration, error) {
	s, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	const most = 366 * 24 * 3600
	if err != nil || math.IsNaN(s) || s < 0 || s > most {
		return 0, fmt.Errorf("%q is not a number of seconds between 0 and %d", text, most)
	}
	return time.Duration(s * float64(time.Second)), nil
}
