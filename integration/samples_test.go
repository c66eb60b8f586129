package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/client"
	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
)

// expected is what is to become of a sample.
type expected struct {
	Kind, State, Code string
	Result            map[string]json.RawMessage // of it, these fields
	Files             []string                   // of the children, by name
}

// sample reads one of testdata/samples.json: of the folder that LEAT_TEST_DATA names, or, where that
// does not have it, of the kind's own testdata.
func sample(t *testing.T, name string) ([]byte, bool) {
	t.Helper()
	group, base := path.Split(name)
	for _, file := range []string{
		filepath.Join(os.Getenv("LEAT_TEST_DATA"), name), filepath.Join("..", "jobs", group, "testdata", base),
	} {
		content, err := os.ReadFile(file)
		if err == nil {
			return mended(base, content), true
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return nil, false
}

// mended puts right what was changed in the published files of csv-spectrum: line ends, and a number.
func mended(name string, content []byte) []byte {
	content = bytes.ReplaceAll(content, []byte("2095257564"), []byte("1234567890"))
	if strings.HasSuffix(name, "_crlf.csv") && !bytes.Contains(content, []byte("\r")) {
		content = bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n"))
	}
	return content
}

// installations start Leat in each of the ways in which it is used, and give the API's address.
func installations() map[string]func(t *testing.T) string {
	return map[string]func(t *testing.T) string{
		"embedded": func(t *testing.T) string { return startUp(t, "cmd/leat").base },
		"production": func(t *testing.T) string {
			r := newPlainRig(t)
			api := r.API()
			r.Worker(system.With("LEAT_SCRATCH", t.TempDir()), system.With("LEAT_QUEUES", "default"))
			return api.URL
		},
	}
}

// up is an installation in one process.
type up struct {
	*system.Process
	base string
}

// startUp builds a program and runs it as leat up.
func startUp(t *testing.T, pkg string) up {
	t.Helper()
	addr := testserver.FreeAddr(t)
	args := []string{"up", "--listen", addr, "--admin-listen", "off", "--data", t.TempDir(), "--concurrency", "4"}
	p := system.Start(t, "up", build(pkg), args, nil)
	p.WaitMessage("worker is ready", patience)
	return up{p, "http://" + addr}
}

// newPlainRig is newRig without the race detector, which does not go with limits of memory.
func newPlainRig(t *testing.T) *rig {
	t.Helper()
	pg, rd := testserver.NewPostgres(t), testserver.NewRedis(t)
	return &rig{System: system.New(t, build("integration/program"), pg.URL(), rd.URL()), t: t, postgres: pg, redis: rd, client: system.Client()}
}

// P7: each sample ends as it should, in every installation. What is asserted of them was compared with
// what others' programs make of the same files.
func TestP7EverySampleThroughTheSystem(t *testing.T) {
	if testing.Short() {
		t.Skip("left to make test-all: all samples, of which TestP7KindsAndBombsThroughTheSystem has some of each kind")
	}
	t.Parallel()
	content, err := os.ReadFile(filepath.Join("testdata", "samples.json"))
	if err != nil {
		t.Fatal(err)
	}
	var samples map[string]expected
	if err := json.Unmarshal(content, &samples); err != nil {
		t.Fatal(err)
	}
	for name, start := range installations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := client.New(start(t), client.Options{})
			if err != nil {
				t.Fatal(err)
			}
			checkSamples(t, c, samples)
		})
	}
}

// checkSamples uploads all samples at once, then looks at what became of each.
func checkSamples(t *testing.T, c *client.Client, samples map[string]expected) {
	t.Helper()
	accepted := map[string]*wire.Upload{}
	for _, name := range slices.Sorted(maps.Keys(samples)) {
		content, ok := sample(t, name)
		if !ok {
			continue // only in a folder that LEAT_TEST_DATA does not name
		}
		uploads, err := c.Upload(t.Context(), client.UploadOptions{}, client.File{Name: path.Base(name), Content: bytes.NewReader(content), Size: int64(len(content))})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		accepted[name] = &uploads[0]
	}
	t.Logf("%d of %d samples are there", len(accepted), len(samples))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var first image.Image
	for _, name := range slices.Sorted(maps.Keys(accepted)) {
		job, err := c.WaitJob(ctx, accepted[name].JobID, client.WaitOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checkSample(t, c, name, job, samples[name])
		base := path.Base(name)
		if strings.HasPrefix(base, "orientation_") {
			first = samePicture(t, base, first, artifact(t, c, job, "preview.jpg"))
		}
		if want, ok := sample(t, strings.TrimSuffix(name, ".csv")+".expected.json"); ok && strings.HasSuffix(name, ".csv") {
			sameCells(t, base, want, artifact(t, c, job, "data.parquet"))
		}
	}
	if first == nil {
		t.Error("no picture was looked at")
	}
}

func checkSample(t *testing.T, c *client.Client, name string, job *wire.Job, want expected) {
	t.Helper()
	code := ""
	if job.Error != nil {
		code = job.Error.Code
	}
	if job.Kind != want.Kind || job.State != want.State || code != want.Code {
		t.Errorf("%s: kind %s, %s, %v; want %+v", name, job.Kind, job.State, job.Error, want)
	}
	result := map[string]json.RawMessage{}
	if len(job.Result) > 0 {
		if err := json.Unmarshal(job.Result, &result); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for field, value := range want.Result {
		if !sameJSON(t, field, value, result[field]) {
			t.Errorf("%s: %s is %s, want %s", name, field, result[field], value)
		}
	}
	var files []string
	for child, err := range c.Jobs(t.Context(), client.Filter{ParentID: job.ID}) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		file, err := c.File(t.Context(), child.FileID)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if child.State != wire.Succeeded {
			t.Errorf("%s: the job on %s is %s: %v", name, file.Name, child.State, child.Error)
		}
		files = append(files, file.Name)
	}
	slices.Sort(files)
	if !slices.Equal(files, want.Files) {
		t.Errorf("%s: holds %q, want %q", name, files, want.Files)
	}
}

// sameJSON compares values; of bad_rows only the count.
func sameJSON(t *testing.T, field string, want, got json.RawMessage) bool {
	t.Helper()
	if field == "bad_rows" {
		var bad struct{ Count json.RawMessage }
		if json.Unmarshal(got, &bad) != nil {
			return false
		}
		got = bad.Count
	}
	var w, g any
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatal(err)
	}
	return json.Unmarshal(got, &g) == nil && cmp.Equal(w, g)
}

// artifact reads all of an artifact.
func artifact(t *testing.T, c *client.Client, job *wire.Job, name string) []byte {
	t.Helper()
	content, err := c.ArtifactContent(t.Context(), job.ID, name)
	if err != nil {
		t.Fatalf("artifact %s of a job on %s: %v", name, job.FileID, err)
	}
	defer content.Body.Close()
	all, err := io.ReadAll(content.Body)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// samePicture checks that a picture is the first one, but for what JPEG loses, and returns that.
func samePicture(t *testing.T, name string, first image.Image, content []byte) image.Image {
	t.Helper()
	got, err := jpeg.Decode(bytes.NewReader(content))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if first == nil {
		return got
	}
	bounds := first.Bounds()
	if got.Bounds() != bounds {
		t.Errorf("%s is %v, others are %v", name, got.Bounds(), bounds)
		return first
	}
	sum := 0.0
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			r1, g1, b1, _ := first.At(x, y).RGBA()
			r2, g2, b2, _ := got.At(x, y).RGBA()
			for _, pair := range [][2]uint32{{r1, r2}, {g1, g2}, {b1, b2}} {
				d := (float64(pair[0]) - float64(pair[1])) / 257
				sum += d * d
			}
		}
	}
	// Turned wrongly, these pictures differ by over 1,000.
	if mean := sum / float64(3*bounds.Dx()*bounds.Dy()); mean > 100 {
		t.Errorf("%s differs from the others: the mean square of 8-bit values is %.0f", name, mean)
	}
	return first
}

// sameCells compares a table's Parquet with the rows that csv-spectrum says it has.
func sameCells(t *testing.T, name string, expected, content []byte) {
	t.Helper()
	if expected = bytes.TrimSpace(expected); expected[0] == '{' {
		expected = slices.Concat([]byte("["), expected, []byte("]")) // a table of one row
	}
	var want []map[string]string
	if err := json.Unmarshal(expected, &want); err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	columns := file.Root().Columns()
	var got []map[string]string
	for _, group := range file.RowGroups() {
		rows := group.Rows()
		buf := make([]parquet.Row, 16)
		for {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				cells := map[string]string{}
				for _, v := range row {
					cells[columns[v.Column()].Name()] = ""
					if !v.IsNull() {
						cells[columns[v.Column()].Name()] = fmt.Sprint(v)
					}
				}
				got = append(got, cells)
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// Where the expected text was read in another encoding, any character will do.
	anyOne := cmp.Comparer(func(a, b string) bool {
		x, y := []rune(a), []rune(b)
		if len(x) != len(y) {
			return false
		}
		for i := range x {
			if x[i] != y[i] && x[i] != '\uFFFD' && y[i] != '\uFFFD' {
				return false
			}
		}
		return true
	})
	if diff := cmp.Diff(want, got, anyOne); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
