package table_test

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec"
	"github.com/leat-dev/leat/jobs/table"
)

func seeds(f *testing.F) {
	for _, seed := range []string{
		"", "a", "a,b\n1,2\n", "a,b\r\n\"x\r\ny\",\"\"\"\"\r\n", "\"a", "\"a\"b\nc\n", "a\rb\r", "'x\\'y'|2\n",
		"\n\n,\n", "\x00,\xff\n", "\"\"\"\n\"\"\"\n", "a;b\n1,5;2\n", "\"a\"\r", "\"\\", "\\\"\n",
	} {
		f.Add([]byte(seed), byte(','), byte('"'), true)
		f.Add([]byte(seed), byte(';'), byte('\''), false)
	}
}

// The row reader: however its input comes in pieces, the rows are the same; lines go up; a fault
// has no cells; and what encoding/csv reads without a complaint, it reads the same.
func FuzzRows(f *testing.F) {
	seeds(f)
	f.Fuzz(checkRows)
}

// The same for what is made of nothing but the characters that matter.
func TestRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		content := rapid.SliceOfN(rapid.SampledFrom([]byte("\",'\\\r\n\x00\xc3ax")), 0, 40).Draw(rt, "content")
		quote := rapid.SampledFrom([]byte("\"'")).Draw(rt, "quote")
		checkRows(t, content, ',', quote, rapid.Bool().Draw(rt, "doubled"))
		d, n := table.Sniff(content, true)
		if again, m := table.Sniff(content, true); again != d || n != m {
			rt.Fatalf("%+v and %+v", d, again)
		}
		if m := run(t, "a.csv", string(content), ""); m.Err != nil && !jobs.IsPermanent(m.Err) || int64(len(m.cells)) != m.result.Rows {
			rt.Fatalf("%v: %d rows of data, %s", m.Err, len(m.cells), m.Result)
		}
	})
}

func checkRows(t *testing.T, content []byte, delimiter, quote byte, doubled bool) {
	t.Helper()
	const allowed = ",;|\t'\" "
	if !strings.Contains(allowed, string(rune(delimiter))) || !strings.Contains(allowed, string(rune(quote))) || delimiter == quote {
		return
	}
	d := table.Dialect{Delimiter: delimiter, Quote: quote, Escape: quote}
	if !doubled {
		d.Escape = '\\'
	}
	all, err := table.ReadRows(bytes.NewReader(content), d)
	if err != nil {
		t.Fatal(err)
	}
	pieces, err := table.ReadRows(iotest.OneByteReader(bytes.NewReader(content)), d)
	if diff := cmp.Diff(all, pieces); diff != "" || err != nil {
		t.Fatalf("%v: in pieces:\n%s", err, diff)
	}
	line := int64(0)
	for _, row := range all {
		if row.Line <= line || (row.Fault == "") == (len(row.Cells) == 0) {
			t.Fatalf("after line %d: %+v", line, row)
		}
		line = row.Line
	}
	if doubled && quote == '"' {
		compareWithStandard(t, content, delimiter, all)
	}
}

// compareWithStandard leaves out what is meant to differ: encoding/csv drops blank lines, and makes
// LF of all line ends in cells.
func compareWithStandard(t *testing.T, content []byte, delimiter byte, all []table.Row) {
	t.Helper()
	if bytes.Contains(content, []byte("\r")) || bytes.ContainsRune(content, '\ufeff') {
		return
	}
	r := csv.NewReader(bytes.NewReader(content))
	r.Comma, r.FieldsPerRecord = rune(delimiter), -1
	want, err := r.ReadAll()
	if err != nil {
		return
	}
	var got [][]string
	for _, row := range all {
		if row.Fault == "not_utf8" {
			return
		}
		if len(row.Cells) > 1 || row.Cells[0] != "" {
			got = append(got, row.Cells)
		}
	}
	want = slices.DeleteFunc(want, func(cells []string) bool { return len(cells) == 1 && cells[0] == "" }) // a quoted one
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%q: encoding/csv (-want +got):\n%s", content, diff)
	}
}

// The sniffer: whatever it is given, it finds a dialect that can be used, and the same one again.
func FuzzSniff(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, content []byte, _, _ byte, whole bool) {
		before := bytes.Clone(content)
		d, columns := table.Sniff(content, whole)
		if again, n := table.Sniff(content, whole); again != d || n != columns || !bytes.Equal(content, before) {
			t.Fatalf("%+v and %+v", d, again)
		}
		if !strings.ContainsRune(",\t;|", rune(d.Delimiter)) || d.Skip < 0 || columns < 0 || (d.Quote == 0) != (d.Escape == 0) {
			t.Fatalf("%+v, %d columns", d, columns)
		}
	})
}

// The whole: no content makes the handler fail but for good, or disagree with itself.
func FuzzTable(f *testing.F) {
	seeds(f)
	f.Add([]byte(`{"a":1}`+"\n"+`{"a":"\u00e9","b":[1,"}"]}`), byte(0), byte(0), true)
	f.Fuzz(func(t *testing.T, content []byte, _, _ byte, _ bool) {
		m := jobtest.Run(t, spec.Table(), table.NewLimited(1<<20), "a.csv", content, "")
		if m.Err != nil {
			if !jobs.IsPermanent(m.Err) {
				t.Fatal(m.Err)
			}
			return
		}
		result := decode[table.Result](t, m.Result)
		if data, ok := m.Artifacts[table.DataName]; ok {
			if _, cells := readParquet(t, data.Content); int64(len(cells)) != result.Rows {
				t.Fatalf("%d rows, %d of data", result.Rows, len(cells))
			}
		}
	})
}

// Any table that is written as RFC 4180 says comes back from Parquet cell by cell.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		columns := rapid.IntRange(1, 6).Draw(rt, "columns")
		cell := rapid.OneOf(
			rapid.StringMatching(`[a-z ,"\n\t;|']{1,8}`), rapid.SampledFrom([]string{"0", "-17", "007", "1.5", "é🚀", "true", "2024-02-29", `\`, "\x00"}),
		)
		content, want := &bytes.Buffer{}, [][]string{}
		w := csv.NewWriter(content)
		names := make([]string, columns)
		for i := range names {
			names[i] = "name" + string(rune('a'+i))
		}
		if err := w.Write(names); err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(0, 20).Draw(rt, "rows") {
			row := rapid.SliceOfN(cell, columns, columns).Draw(rt, "row")
			want = append(want, row)
			if err := w.Write(row); err != nil {
				rt.Fatal(err)
			}
		}
		w.Flush()
		m := run(t, "a.csv", content.String(), `{"delimiter":",","quote":"\"","escape":"\"","header":"yes","skip":0,"null":[]}`)
		if m.Err != nil {
			rt.Fatal(m.Err)
		}
		for i := range min(len(want), len(m.cells)) {
			for j := range columns {
				// A number may have got more digits, since its column has one scale.
				if got := m.cells[i][j]; got != want[i][j] && m.profile.Columns[j].Type != "decimal" {
					rt.Fatalf("%q came back as %q, %s", want[i][j], got, m.types())
				}
			}
		}
		if len(m.cells) != len(want) || m.result.BadRows.Count != 0 {
			rt.Fatalf("%d rows of %d: %s", len(m.cells), len(want), m.Result)
		}
	})
}
