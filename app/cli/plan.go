package cli

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/scale/plan"
)

// planning is what leat plan was asked for.
type planning struct {
	*remote
	in         plan.Input
	fromServer bool
}

// planCommand is leat plan, which asks a server only if it is told to.
func (r *remote) planCommand() *cobra.Command {
	p := &planning{remote: r, in: plan.Default()}
	cmd := &cobra.Command{
		Use: "plan", Short: "Plan capacity month by month: workers, Redis, Postgres, blobs", Args: cobra.NoArgs,
		Long: "Tell what a rate of jobs takes, now and as it grows: workers, with a buffer, by the rate of one or by\n" +
			"service time and slots; api processes; Redis' memory, which follows the slots and not the backlog;\n" +
			"connections to Postgres; its disk and the blobs once jobs have been kept for as long as they are.",
		Example: "  leat plan --rate 1000 --growth 20% --months 6 --per-instance 150 --headroom 20%\n" +
			"  leat plan --from-server --growth 10% --size 4MiB",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(cmd, "rate", "from-server"); err != nil {
				return err
			}
			return p.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.Float64Var(&p.in.Rate, "rate", 0, "jobs per second now")
	f.BoolVar(&p.fromServer, "from-server", false, "take rate and service time from what a server measured in the last minute")
	f.Var(&share{&p.in.Growth}, "growth", "of the rate, each month")
	f.IntVar(&p.in.Months, "months", p.in.Months, "how many to look ahead")
	f.DurationVar(&p.in.Service, "service", p.in.Service, "time that a job takes")
	f.DurationVar(&p.in.Target, "target", p.in.Target, "within which 95 of 100 jobs are to start")
	f.IntVar(&p.in.Slots, "slots", p.in.Slots, "jobs that a worker runs at once")
	f.Float64Var(&p.in.PerWorker, "per-instance", 0, "jobs per second that a worker was measured to do (default: by service time, slots and target)")
	f.Var(&share{&p.in.Headroom}, "headroom", "workers to add")
	f.IntVar(&p.in.Queues, "queues", p.in.Queues, "queues in use")
	f.Float64Var(&p.in.PerAPI, "per-api", p.in.PerAPI, "uploads per second that an api process takes")
	f.IntVar(&p.in.MinAPI, "min-api", p.in.MinAPI, "api processes at least")
	f.IntVar(&p.in.Connections, "connections", p.in.Connections, "connections to Postgres of each process, at most")
	f.Var(&size{&p.in.FileSize}, "size", "of an upload, on average")
	f.Var(&size{&p.in.ArtifactSize}, "artifacts", "that a job makes, on average")
	f.Var(&size{&p.in.InlineLimit}, "inline-limit", "up to which size a file lies in Postgres")
	f.DurationVar(&p.in.Keep, "keep", p.in.Keep, "how long ended jobs are kept")
	return cmd
}

func (p *planning) run(ctx context.Context) error {
	if p.fromServer {
		if err := p.measured(ctx); err != nil {
			return err
		}
	}
	months, err := plan.Months(p.in)
	if err != nil {
		return &app.ExitError{Code: 2, Err: err}
	}
	if p.json {
		for _, m := range months {
			if err := p.print(nil, m); err != nil {
				return err
			}
		}
		return nil
	}
	return table(p.env.Stdout, func(line func(...any)) {
		line("MONTH", "JOBS/S", "WORKERS", "BUFFER", "APIS", "REDIS", "PG CONNECTIONS", "PG DISK", "BLOBS/DAY", "BLOBS")
		for _, m := range months {
			line(m.Month, strconv.FormatFloat(math.Round(m.Rate*1000)/1000, 'f', -1, 64), m.Workers, "+"+strconv.Itoa(m.Buffer), m.APIs,
				bytesText(m.RedisBytes), m.PostgresConnections, bytesText(m.PostgresBytes), bytesText(m.BlobBytesPerDay), bytesText(m.BlobBytes))
		}
	})
}

// measured takes rate and service time from a server's queues.
func (p *planning) measured(ctx context.Context) error {
	c, err := p.client()
	if err != nil {
		return err
	}
	queues, err := c.Queues(ctx)
	if err != nil {
		return err
	}
	ended, busy := 0.0, 0.0
	p.in.Queues = max(len(queues), 1)
	for _, q := range queues {
		if q.Rates == nil {
			return fmt.Errorf("rates are shown only for a key with the scope admin: give a --rate, or such a key")
		}
		p.in.Rate += q.Rates.Arrived
		ended += q.Rates.Succeeded + q.Rates.Failed + q.Rates.Retried
		busy += q.Rates.BusySeconds
	}
	if p.in.Rate == 0 {
		return fmt.Errorf("nothing arrived at %s in the last minute: give a --rate", p.server)
	}
	if ended > 0 && busy > 0 {
		p.in.Service = time.Duration(busy / ended * float64(time.Second))
	}
	return nil
}

func bytesText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// share is a flag such as 20% or 0.2.
type share struct{ value *float64 }

func (s *share) String() string {
	if s.value == nil {
		return "0%"
	}
	return strconv.FormatFloat(math.Round(*s.value*1e4)/100, 'f', -1, 64) + "%"
}

// Set reads it.
func (s *share) Set(text string) error {
	number, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return fmt.Errorf("%q is not a share, such as 20%% or 0.2", text)
	}
	if percent {
		v /= 100
	}
	*s.value = v
	return nil
}

// Type is what help calls it.
func (s *share) Type() string { return "percent" }

// size is a flag such as 4MiB.
type size struct{ value *int64 }

func (s *size) String() string {
	if s.value == nil {
		return "0 B"
	}
	return strings.ReplaceAll(bytesText(*s.value), " ", "")
}

// Set reads it.
func (s *size) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("%q is not a size, such as 4MiB", text)
	}
	*s.value = int64(n)
	return nil
}

// Type is what help calls it.
func (s *size) Type() string { return "size" }
