// Command bench measures Leat against what it stands on and beside, in one run on one machine, and
// prints ratios: as a table for people, then as one line of JSON for programs.
//
// Servers are started privately, with Postgres's fsync, synchronous_commit and full_page_writes on,
// and Redis's AOF synced every second; the load generator runs on the same cores. Rows are counted
// afterwards: a measurement whose effects are not all there is an error.
//
// It may import anything of Leat. Nothing imports it.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
)

// measurement is one of the things that can be measured.
type measurement struct {
	name string
	run  func(b *bench)
}

var measurements = []measurement{
	{"uploads", (*bench).uploads},
	{"large", (*bench).large},
	{"tus", (*bench).tus},
	{"memory", (*bench).memory},
	{"far", (*bench).far},
	{"streams", (*bench).streams},
	{"estimate", (*bench).estimate},
	{"drain", (*bench).drain},
	{"latency", (*bench).latency},
	{"fair", (*bench).fair},
	{"table", (*bench).table},
	{"image", (*bench).image},
}

// bench is one run.
type bench struct {
	testserver.TB
	program    string
	profiles   string // where profiles go, if they are wanted
	name       string // of the measurement
	background sync.WaitGroup
	rows       []row
}

func main() {
	names := make([]string, len(measurements))
	for i, m := range measurements {
		names[i] = m.name
	}
	only := flag.String("only", strings.Join(names, ","), "what to measure")
	profiles := flag.String("profile", "", "existing `folder` for CPU profiles of the processes that are measured, which slow them a little")
	flag.Parse()
	wanted := strings.Split(*only, ",")
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			fmt.Fprintf(os.Stderr, "bench: %q is none of %s\n", name, strings.Join(names, ", "))
			os.Exit(2)
		}
	}
	tb := testserver.Outside()
	b := &bench{TB: tb, program: system.Build(tb, "integration/program", false), profiles: *profiles}
	fmt.Printf("%s, %d cores, %s/%s\n", runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	for _, m := range measurements {
		if slices.Contains(wanted, m.name) {
			fmt.Printf("measuring %s …\n", m.name)
			b.scope(m.name, m.run)
		}
	}
	err := report(os.Stdout, b.rows)
	tb.Close()
	if err != nil || tb.Failed() {
		fmt.Fprintln(os.Stderr, "bench: not all is measured", err)
		os.Exit(1)
	}
}

// scope gives a measurement, or a part of one, servers and processes of its own, gone when it is
// over: what they still had to do would be measured with the next.
func (b *bench) scope(name string, run func(b *bench)) {
	tb := testserver.Outside()
	defer tb.Close()
	inner := &bench{TB: tb, program: b.program, profiles: b.profiles, name: name}
	run(inner)
	inner.background.Wait()
	b.rows = append(b.rows, inner.rows...)
	if tb.Failed() {
		b.Errorf("a measurement failed")
	}
}

// install makes an installation, and prints the settings of its Postgres that make commits durable.
func (b *bench) install() *system.System {
	pg, rd := testserver.NewPostgres(b), testserver.NewRedis(b, testserver.AOF("everysec"))
	s := system.New(b, b.program, pg.URL(), rd.URL())
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes", "server_version"} {
		var value string
		if err := s.DB().QueryRow(b.Context(), "SELECT current_setting($1)", name).Scan(&value); err != nil {
			b.Fatalf("read %s: %v", name, err)
		}
		fmt.Printf("  postgres %s = %s\n", name, value)
	}
	return s
}
