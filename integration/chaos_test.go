package integration

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
)

var (
	chaosFor  = flag.Duration("chaos.for", 0, "how long TestChaos goes on; 0: until it has accepted 2,000 uploads, 500 with -short")
	chaosSeed = flag.Uint64("chaos.seed", 0, "seed of the faults' order; 0: a new one")
)

// chaos is an installation in which everything dies, again and again.
type chaos struct {
	*rig
	random *rand.Rand
	addr   string // of the api, which moves from one process to the next

	api    *system.API
	deaths map[string]time.Time
	faults map[string]int
}

// P1, P2, P3, P5, P6: uploads go on through the death of every part. Accepted = ended, each once.
//
// The longest recovery is told and not judged: a worker's silence is counted by one leader, while the
// store answers, and here leader or store go away every few seconds, after which the count begins
// anew. TestP4 has the promise for each death by itself.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	c := &chaos{rig: newRig(t), random: rand.New(rand.NewPCG(seed, 0)), addr: testserver.FreeAddr(t), deaths: map[string]time.Time{}, faults: map[string]int{}}
	c.startAPI()
	workers := []*system.Process{c.Worker(), c.Worker()}
	uploads, began := atLength(2000, 500), time.Now()
	l := c.startLoad(func() string { return "http://" + c.addr }, 100, 16, mixed)
	more := func() bool {
		if *chaosFor > 0 {
			return time.Since(began) < *chaosFor
		}
		return l.count() < uploads
	}
	for more() {
		c.strike(workers)
		pass(t, time.Duration(500+c.random.IntN(1500))*time.Millisecond)
	}
	accepted := l.stop()
	account := c.waitAllEnded(accepted, c.deaths, 3*time.Minute)
	c.checkBytes(t)
	t.Logf("chaos: seed %d, %v, faults %v, refused uploads by status %v\n%s", seed, time.Since(began).Round(time.Second), c.faults, l.refused, account)
	if !account.Balanced() {
		t.Errorf("account: %s", account)
	}
}

const outage = 3 * time.Second

// strike does one of the things that go wrong, and mends it.
func (c *chaos) strike(workers []*system.Process) {
	i := c.random.IntN(len(workers))
	faults := []struct {
		name string
		do   func()
	}{
		{"worker killed", func() { c.killed(workers[i]); workers[i] = c.Worker() }},
		{"worker terminated", func() { workers[i].Terminate(); workers[i].Wait(time.Minute); workers[i] = c.Worker() }},
		{"worker paused", func() { workers[i].Pause(); pass(c.t, outage); workers[i].Resume() }},
		{"api killed", func() { c.api.Kill(); c.startAPI() }},
		{"api paused", func() { c.api.Pause(); pass(c.t, outage); c.api.Resume() }},
		{"redis emptied", func() { c.flushRedis(c.t) }},
		{"redis killed", func() { c.redis.Kill(); pass(c.t, time.Second); c.redis.Start() }},
		{"redis rolled back", func() { old := c.redis.Snapshot(); pass(c.t, time.Second); c.redis.Restore(old) }},
		{"redis away", func() { c.redis.Stop(); pass(c.t, outage); c.redis.Start() }},
		{"postgres restarted", func() { c.postgres.Stop(); pass(c.t, time.Second); c.postgres.Start() }},
		{"postgres killed", func() { c.postgres.Kill(); c.postgres.Start() }},
		{"postgres away", func() { c.postgres.Stop(); pass(c.t, outage); c.postgres.Start() }},
	}
	f := faults[c.random.IntN(len(faults))]
	c.faults[f.name]++
	f.do()
}

func (c *chaos) killed(p *system.Process) {
	c.deaths[p.Name] = time.Now()
	p.Kill()
}

func (c *chaos) startAPI() {
	c.api = c.APIAt(c.addr)
}
