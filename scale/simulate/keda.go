package simulate

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/leat-dev/leat/scale"
)

// KEDA is a ScaledObject of KEDA 2.20 on a queue's length. The zero value is its defaults, on jobs
// that wait, at as many for each replica as it has slots.
//
// KEDA's own loop takes the workers from 0 to 1 and from any number to 0; between these, an HPA that
// it makes does the rest, which asks for the metric anew at each turn.
type KEDA struct {
	Label  string
	Target float64 // jobs for each replica; its slots when 0
	// Active adds running jobs to the metric, as several triggers or a formula can.
	Active bool
	// Polling is spec.pollingInterval (pkg/scaling: 30 s), Cooldown spec.cooldownPeriod (300 s).
	Polling, Cooldown time.Duration
	// Min is spec.minReplicaCount (0), Max is 20 when 0.
	Min, Max int
	// Behavior is advanced.horizontalPodAutoscalerConfig.behavior; nil leaves it out.
	Behavior *scale.Behavior
}

// Name is the label.
func (k KEDA) Name() string { return cmp.Or(k.Label, "keda") }

// String tells the settings.
func (k KEDA) String() string {
	first := fmt.Sprintf("polling %v, cooldown %v", cmp.Or(k.Polling, polling), cmp.Or(k.Cooldown, cooldown))
	return settings(first, k.Target, !k.Active, k.Min, k.Behavior)
}

const (
	polling  = 30 * time.Second
	cooldown = 5 * time.Minute
)

func (k KEDA) begin(load *Load, rng *rand.Rand) (scaler, time.Duration) {
	every := cmp.Or(k.Polling, polling)
	s := &keda{
		autoscaler: newAutoscaler(cmp.Or(k.Target, float64(load.Slots)), max(k.Min, 1), cmp.Or(k.Max, mostPods), k.Behavior),
		lowest:     k.Min, pending: !k.Active, polling: every, cooldown: cmp.Or(k.Cooldown, cooldown),
		nextPoll: phase(rng, every), nextSync: phase(rng, syncPeriod),
	}
	return s, 0
}

type keda struct {
	autoscaler
	lowest             int
	pending            bool
	polling, cooldown  time.Duration
	nextPoll, nextSync time.Duration
	active             time.Duration // when there was last something to do
}

func (s *keda) act(w *world) time.Duration {
	if w.now >= s.nextPoll {
		s.poll(w)
		s.nextPoll += s.polling
	}
	if w.now >= s.nextSync {
		s.sync(w, w.metric(s.pending))
		s.nextSync += syncPeriod
	}
	return min(s.nextPoll, s.nextSync) - w.now
}

// poll is one turn of KEDA's own loop, which looks no further than whether there is anything to do.
func (s *keda) poll(w *world) {
	switch {
	case w.metric(s.pending) > 0:
		s.active = w.now
		if w.told == 0 {
			w.scale(max(s.lowest, 1))
		}
	case s.lowest > 0:
		w.scale(max(w.told, s.lowest)) // the HPA sees to the rest
	case w.told > 0 && w.now-s.active > s.cooldown:
		w.scale(0)
	}
}
