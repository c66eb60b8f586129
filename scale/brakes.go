package scale

import (
	"fmt"
	"slices"
	"time"
)

// Growth is futile when it brings less than a tenth of what as many more of the same would.
const worthwhile = 0.1

// attemptsToJudge is how few attempts say nothing about failures.
const attemptsToJudge = 20

// reason says why growing would not help; empty when nothing speaks against it.
func (b Brakes) reason(o Observation, h History) string {
	if why := b.failing(o); why != "" {
		return why
	}
	return b.futile(o, h)
}

// failing looks at the attempts of the shortest time that has enough of them.
func (b Brakes) failing(o Observation) string {
	if b.FailureRatio <= 0 {
		return ""
	}
	spans := 0
	for i := range o.Queues {
		spans = max(spans, len(o.Queues[i].Windows))
	}
	for span := range spans {
		failed, ended := 0, 0
		var over time.Duration
		for i := range o.Queues {
			if w := o.Queues[i].Windows; span < len(w) && !o.Queues[i].Paused {
				failed += w[span].Failed + w[span].Retried
				ended += w[span].Failed + w[span].Retried + w[span].Succeeded
				over = w[span].Span
			}
		}
		if ended < attemptsToJudge {
			continue
		}
		if ratio := float64(failed) / float64(ended); ratio > b.FailureRatio {
			return fmt.Sprintf("%d of %d attempts failed in the last %v (%.0f %%): more workers would fail faster.",
				failed, ended, over.Round(time.Second), 100*ratio)
		}
		return ""
	}
	return ""
}

// futile compares what the present number of workers ends with what fewer of them did, work having
// waited for either.
func (b Brakes) futile(o Observation, h History) string {
	if b.Futility <= 0 || len(h.Throughput) < 2 {
		return ""
	}
	now := h.Throughput[len(h.Throughput)-1]
	if now.Workers != o.Fleet.Taking() || now.Until.Sub(now.Since) < b.Futility {
		return ""
	}
	for _, then := range slices.Backward(h.Throughput[:len(h.Throughput)-1]) {
		if then.Workers >= now.Workers || then.PerSec <= 0 {
			continue
		}
		more := float64(now.Workers)/float64(then.Workers) - 1
		gain := now.PerSec/then.PerSec - 1
		if gain < worthwhile*more {
			return fmt.Sprintf("%d workers end %.3g jobs per second and %d ended %.3g: something else is the bottleneck.",
				now.Workers, now.PerSec, then.Workers, then.PerSec)
		}
		return ""
	}
	return ""
}

// memory is how long a number of workers is compared with, in units of Futility: then growing is
// tried again.
const memory = 5

// learn notes the throughput of a fleet that has more to do than it can.
func (b Brakes) learn(past []Throughput, o Observation) []Throughput {
	if b.Futility <= 0 {
		return nil
	}
	next := slices.DeleteFunc(slices.Clone(past), func(t Throughput) bool {
		return o.At.Sub(t.Until) > memory*b.Futility
	})
	workers, rate, span := o.Fleet.Taking(), 0.0, time.Duration(0)
	ready := 0
	for i := range o.Queues {
		q := &o.Queues[i]
		if q.Paused {
			continue
		}
		ready += q.Ready
		if len(q.Windows) > 0 && q.Windows[0].Span > 0 {
			w := q.Windows[0]
			rate += float64(w.Succeeded+w.Failed+w.Retried) / w.Span.Seconds()
			span = max(span, w.Span)
		}
	}
	if workers == 0 || float64(ready) < float64(workers)*o.Fleet.Slots(1) {
		return next // they were not put to the test
	}
	if n := len(next) - 1; n >= 0 && next[n].Workers == workers {
		last := next[n]
		const weight = 0.1 // of the latest rate
		if last.PerSec == 0 || o.At.Sub(last.Since) < span {
			last.PerSec = rate // still that of the number before
		} else {
			last.PerSec += weight * (rate - last.PerSec)
		}
		last.Until = o.At
		next[n] = last
		return next
	}
	const most = 20
	if len(next) == most {
		next = next[1:]
	}
	return append(next, Throughput{Workers: workers, Since: o.At, Until: o.At, PerSec: rate})
}
