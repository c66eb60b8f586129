package table_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec"
	"github.com/leat-dev/leat/jobs/table"
)

// made is a run with what it made, read.
type made struct {
	*jobtest.Made
	result  table.Result
	profile table.Profile
	cells   [][]string // of data.parquet
	names   []string   // of its columns
}

// null stands for a cell without a value, in tests that have no such text.
const null = "∅"

func run(t testing.TB, name, content, params string) *made {
	t.Helper()
	m := &made{Made: jobtest.Run(t, spec.Table(), table.New(), name, []byte(content), params)}
	if m.Err != nil {
		return m
	}
	m.result = decode[table.Result](t, m.Result)
	m.profile = decode[table.Profile](t, m.Artifacts[table.ProfileName].Content)
	if data, ok := m.Artifacts[table.DataName]; ok {
		m.names, m.cells = readParquet(t, data.Content)
	}
	return m
}

// decode reads JSON apart from the dialect, which is written as text and read by no program of ours.
func decode[T any](t testing.TB, text []byte) T {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	delete(all, "dialect")
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// types gives the columns as "name type".
func (m *made) types() string {
	var all []string
	for _, c := range m.profile.Columns {
		all = append(all, c.Name+" "+c.Type)
	}
	return strings.Join(all, ", ")
}

// readParquet gives the names and all cells of a Parquet file, as text.
func readParquet(t testing.TB, content []byte) (names []string, cells [][]string) {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	columns := f.Root().Columns()
	for _, c := range columns {
		names = append(names, c.Name())
	}
	for _, group := range f.RowGroups() {
		rows := group.Rows()
		buf := make([]parquet.Row, 64)
		for {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				line := make([]string, len(columns))
				for _, v := range row {
					line[v.Column()] = cellText(columns[v.Column()].Type(), v)
				}
				cells = append(cells, line)
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return names, cells
}

// cellText writes a value as a table would have it.
func cellText(typ parquet.Type, v parquet.Value) string {
	if v.IsNull() {
		return null
	}
	logical := typ.LogicalType()
	if logical == nil {
		return v.String()
	}
	switch l := logical.Value.(type) {
	case *format.DecimalType:
		return decimalText(v, int(l.Scale))
	case *format.DateType:
		return time.Unix(int64(v.Int32())*86400, 0).UTC().Format(time.DateOnly)
	case *format.TimestampType:
		return time.UnixMicro(v.Int64()).UTC().Format("2006-01-02T15:04:05.999999")
	case *format.StringType:
		return string(v.ByteArray())
	}
	return v.String()
}

func decimalText(v parquet.Value, scale int) string {
	n := new(big.Int)
	switch v.Kind() {
	case parquet.Int32:
		n.SetInt64(int64(v.Int32()))
	case parquet.Int64:
		n.SetInt64(v.Int64())
	default:
		n.SetBytes(v.ByteArray())
		if v.ByteArray()[0] >= 0x80 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), 128))
		}
	}
	return new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).FloatString(scale)
}

// A run on a plain table: result, profile and data, byte for byte where other programs read them.
func TestAnswer(t *testing.T) {
	t.Parallel()
	m := run(t, "a.csv", "id,when,name\n1,2024-02-29,x\n2,,\"y,\"\n3,2024-03-01\n", "")
	want := `{"format":"csv","encoding":"utf-8","dialect":{"delimiter":",","quote":"\"","escape":"\"","header":true,"skip":0},"rows":2,"columns":[` +
		`{"name":"id","type":"integer","nulls":0,"min":"1","max":"2","mean":"1.5","distinct":2},` +
		`{"name":"when","type":"date","nulls":1,"min":"2024-02-29","max":"2024-02-29","mean":"2024-02-29","distinct":1},` +
		`{"name":"name","type":"text","nulls":0,"min":"x","max":"y,","distinct":2}],"column_count":3,` +
		`"bad_rows":{"count":1,"reasons":{"too_few_cells":1},"lines":[4]}}`
	if got := string(m.Result); got != want {
		t.Errorf("result\n%s, want\n%s", got, want)
	}
	if diff := cmp.Diff([][]string{{"1", "2024-02-29", "x"}, {"2", null, "y,"}}, m.cells); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"id", "when", "name"}, m.names); diff != "" {
		t.Errorf("the columns are not in their order (-want +got):\n%s", diff)
	}
	if last := m.Progress[len(m.Progress)-1]; last != 1 || !slices.IsSorted(m.Progress) {
		t.Errorf("progress %v", m.Progress)
	}
}

func TestSpecHasHandler(t *testing.T) {
	t.Parallel()
	specs, err := jobs.NewSpecs("table", spec.Table())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jobs.NewKinds(specs, map[string]jobs.Handler{"table": table.New()}); err != nil {
		t.Error(err)
	}
	for _, mediaType := range []string{"text/csv", "text/tab-separated-values", "application/x-ndjson"} {
		if !slices.Contains(spec.Table().MediaTypes, mediaType) {
			t.Errorf("%s is not routed here", mediaType)
		}
	}
}

// Parameters are checked, and the error names the field.
func TestParams(t *testing.T) {
	t.Parallel()
	s := spec.Table()
	for params, field := range map[string]string{
		`{"delimiter":"ab"}`: "delimiter", `{"delimiter":"\n"}`: "delimiter", `{"delimiter":"é"}`: "delimiter",
		`{"quote":"ab"}`: "quote", `{"delimiter":"'","quote":"'"}`: "quote", `{"escape":"x"}`: "escape",
		`{"quote":"none","escape":"\\"}`: "escape", `{"header":"maybe"}`: "header", `{"encoding":"utf-9"}`: "encoding",
		`{"skip":-1}`: "skip", `{"skip":"1"}`: "skip", `{"null":["` + strings.Repeat("x", 65) + `"]}`: "null",
	} {
		_, _, err := s.Canonical(json.RawMessage(params))
		if p, ok := errors.AsType[*jobs.ParamError](err); !ok || p.Field != field {
			t.Errorf("%s: %v, want an error of %s", params, err, field)
		}
	}
	for _, params := range []string{``, `{"delimiter":"\t","quote":"'","escape":"\\","header":"no","skip":0,"null":[],"parquet":false}`} {
		if _, _, err := s.Canonical(json.RawMessage(params)); err != nil {
			t.Errorf("%s: %v", params, err)
		}
	}
	for _, name := range spec.TableEncodings() {
		m := run(t, "a.csv", "", fmt.Sprintf(`{"encoding":%q}`, name))
		if m.Err != nil || m.result.Encoding != name {
			t.Errorf("%s: %v, %q", name, m.Err, m.result.Encoding)
		}
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, content, params, types string
		cells                        [][]string
	}{
		{"delimiter", "a:b\n1:2\n", `{"delimiter":":"}`, "a integer, b integer", [][]string{{"1", "2"}}},
		{"quote", "a,b\n%x,y%,2\n", `{"quote":"%"}`, "a text, b integer", [][]string{{"x,y", "2"}}},
		{"no quote", "a,b\n\"x,2\n", `{"quote":"none"}`, "a text, b integer", [][]string{{`"x`, "2"}}},
		{"escape", "a,b\n\"x\\\"\",2\n", `{"escape":"\\"}`, "a text, b integer", [][]string{{`x"`, "2"}}},
		{"header", "a,b\n1,2\n", `{"header":"no"}`, "column_1 text, column_2 text", [][]string{{"a", "b"}, {"1", "2"}}},
		{"header of numbers", "1,2\n3,4\n", `{"header":"yes"}`, "1 integer, 2 integer", [][]string{{"3", "4"}}},
		{"skip", "x\ny\na,b\n1,2\n", `{"skip":2}`, "a integer, b integer", [][]string{{"1", "2"}}},
		{"null", "a,b\nNULL,2\n,3\n", `{"null":["NULL"]}`, "a text, b integer", [][]string{{null, "2"}, {"", "3"}}},
		{"no null", "a,b\nx,2\n,3\n", `{"null":[]}`, "a text, b integer", [][]string{{"x", "2"}, {"", "3"}}},
		{"encoding", "a\n\xa4\n", `{"encoding":"iso-8859-15"}`, "a text", [][]string{{"€"}}},
		{"no data", "a\n1\n", `{"parquet":false}`, "a integer", nil},
	} {
		m := run(t, "a.csv", c.content, c.params)
		if m.types() != c.types {
			t.Errorf("%s: %s, want %s", c.what, m.types(), c.types)
		}
		if diff := cmp.Diff(c.cells, m.cells); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

// dataFile reads a sample of testdata, or one of a folder of larger samples where there is one.
func dataFile(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if errors.Is(err, os.ErrNotExist) {
		folder := os.Getenv("LEAT_TEST_DATA")
		if folder == "" {
			t.Skip("LEAT_TEST_DATA names no folder of samples")
		}
		content, err = os.ReadFile(filepath.Join(folder, "table", name))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// broken fails to be read from an offset on.
type broken struct {
	io.ReaderAt
	from int64
}

var errDisk = errors.New("the disk is gone")

func (b *broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.from {
		return 0, errDisk
	}
	return b.ReaderAt.ReadAt(p, off)
}

// An input that cannot be read is no fault of its content: the error has no code, and is retried.
func TestBrokenInput(t *testing.T) {
	t.Parallel()
	var numbers strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&numbers, "%d,%d\n", i*7919, i*i)
	}
	content := []byte(numbers.String())
	packed := gzipped(t, content)
	for _, c := range []struct {
		content []byte
		from    int64
	}{{content, 512 << 10}, {packed, int64(len(packed)) - 4}} {
		m := jobtest.RunAt(t, spec.Table(), table.New(), "a.csv", &broken{bytes.NewReader(c.content), c.from}, int64(len(c.content)), "")
		if !errors.Is(m.Err, errDisk) || jobs.IsPermanent(m.Err) {
			t.Errorf("%v", m.Err)
		}
	}
}

// A run whose context has ended stops, with the cause.
func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	content := []byte("a,b\n1,2\n")
	_, err := table.New().Handle(ctx, &jobs.Run{
		File: jobs.File{Name: "a.csv"}, Input: io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content))), Recorder: failing{},
	})
	if !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
}

// failing stores nothing.
type failing struct{ jobs.Recorder }

func (failing) Progress(float64) {}

func (failing) Artifact(_ context.Context, _, _ string, content io.Reader) (jobs.Artifact, error) {
	_, _ = content.Read(make([]byte, 1)) // what it fails after does not matter
	return jobs.Artifact{}, errDisk
}

// What cannot be stored ends the run with the error of the store, and leaves nobody waiting.
func TestArtifactNotStored(t *testing.T) {
	t.Parallel()
	content := []byte("a,b\n1,2\n")
	_, err := table.New().Handle(t.Context(), &jobs.Run{
		File: jobs.File{Name: "a.csv"}, Input: io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content))), Recorder: failing{},
	})
	if !errors.Is(err, errDisk) || jobs.IsPermanent(err) {
		t.Errorf("%v", err)
	}
}

// The same file gives the same artifacts, however often it is run.
func TestRepeatable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("a,b\n")
	for i := range 5000 {
		b.WriteString(strconv.Itoa(i*7919%5000) + "," + strconv.Itoa(i%13) + "\n")
	}
	first, second := run(t, "a.csv", b.String(), ""), run(t, "a.csv", b.String(), "")
	if diff := cmp.Diff(first.Artifacts, second.Artifacts); diff != "" {
		t.Error(diff)
	}
}
