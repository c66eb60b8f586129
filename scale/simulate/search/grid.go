package main

import (
	"time"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/simulate"
)

// targets are jobs for each replica, in units of its slots.
var targets = []float64{0.5, 0.7, 0.8, 0.9, 1, 1.2, 1.5}

// behaviors are spec.behavior: left out, as the API server fills it in with shorter windows for
// scaling down, and growing as far as asked for at once.
func behaviors() []*scale.Behavior {
	list := []*scale.Behavior{nil}
	for _, window := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute} {
		b := simulate.AtOnce(window)
		list = append(list, &b)
	}
	slow := simulate.Kubernetes(time.Minute)
	return append(list, &slow)
}

// kedas are the settings of KEDA that are tried.
func kedas(slots int) []simulate.Rules {
	var list []simulate.Rules
	each(slots, func(target float64, pending bool, b *scale.Behavior) {
		k := simulate.KEDA{Target: target, Active: !pending, Behavior: b}
		for _, k.Min = range []int{1, 2, 4} {
			list = append(list, k)
		}
		k.Min = 0
		for _, k.Polling = range []time.Duration{30 * time.Second, 5 * time.Second} {
			for _, k.Cooldown = range []time.Duration{5 * time.Minute, time.Minute} {
				list = append(list, k)
			}
		}
	})
	return list
}

// hpas are the settings of an HPA that are tried.
func hpas(slots int) []simulate.Rules {
	var list []simulate.Rules
	each(slots, func(target float64, pending bool, b *scale.Behavior) {
		h := simulate.HPA{Target: target, Pending: pending, Behavior: b}
		for _, h.Min = range []int{1, 2, 4} {
			for _, h.Scrape = range []time.Duration{15 * time.Second, 5 * time.Second} {
				list = append(list, h)
			}
		}
	})
	return list
}

// each calls with all settings that both rivals have.
func each(slots int, do func(target float64, pending bool, b *scale.Behavior)) {
	for _, pending := range []bool{false, true} {
		for _, target := range targets {
			for _, b := range behaviors() {
				do(target*float64(slots), pending, b)
			}
		}
	}
}
