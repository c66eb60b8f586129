package table_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec"
	"github.com/leat-dev/leat/jobs/table"
)

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func utf16Text(order binary.AppendByteOrder, text string) string {
	var out []byte
	for _, u := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, u)
	}
	return string(out)
}

// What a cell is taken for, and that it comes back from Parquet as it was.
func TestTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, cells, want, stored string }{
		{"integers", "1 -2 0", "integer", "int64"},
		{"leading zeros stay text", "1 007", "text", "string"},
		{"integers beyond 2^53", "9007199254740993 9007199254740992", "integer", "int64"},
		{"the ends of 64 bits", "9223372036854775807 -9223372036854775808", "integer", "int64"},
		{"integers beyond 64 bits", "9223372036854775808 -170141183460469231731687303715884105", "decimal", "decimal(36,0)"},
		{"too many digits for any number", "1 " + strings.Repeat("9", 39), "text", "string"},
		{"a plus stays text", "1 +49", "text", "string"},
		{"decimals", "1.50 -0.25 0.00", "decimal", "decimal(3,2)"},
		{"decimals of 64 bits", "1234567890.12 -0.25", "decimal", "decimal(12,2)"},
		{"decimals beyond", "-12345678901234567890.12 0.25", "decimal", "decimal(22,2)"},
		{"exponents", "1e+06 -2.5", "decimal", "double"},
		{"an exponent and too many digits", "1e+06 0.12345678901234567890", "text", "string"},
		{"beyond a double", "1e999 1", "text", "string"},
		{"separators stay text", "1,000 2", "text", "string"},
		{"booleans", "true false", "boolean", "boolean"},
		{"booleans and numbers", "true 1", "text", "string"},
		{"dates", "2024-02-29 0001-01-01 9999-12-31", "date", "date"},
		{"no leap year", "2023-02-29 2024-01-01", "text", "string"},
		{"ambiguous dates stay text", "01/02/2024 03/04/2024", "text", "string"},
		{"timestamps", "2024-02-29T23:59:59.123456 1969-12-31T00:00:01", "timestamp", "timestamp(us)"},
		{"finer timestamps", "2024-02-29T23:59:59.123456789", "text", "string"},
		{"with and without a zone", "2024-02-29T23:59:59Z 2024-02-29T23:59:59", "text", "string"},
		{"dates and timestamps", "2024-02-29 2024-02-29T00:00:00", "text", "string"},
		{"text", "abc d", "text", "string"},
	} {
		cells := strings.Fields(c.cells)
		var content strings.Builder
		content.WriteString("x;v\n")
		for _, cell := range cells {
			fmt.Fprintf(&content, "k;%s\n", cell)
		}
		m := run(t, "a.csv", content.String(), `{"delimiter":";","header":"yes"}`)
		if got := m.profile.Columns[1]; got.Type != c.want || got.Stored != c.stored {
			t.Errorf("%s: %s as %s, want %s as %s", c.what, got.Type, got.Stored, c.want, c.stored)
		}
		for i, cell := range cells {
			got := m.cells[i][1]
			if c.want == "decimal" && strings.TrimRight(strings.TrimRight(got, "0"), ".") == strings.TrimRight(strings.TrimRight(cell, "0"), ".") {
				continue
			}
			if got != cell {
				t.Errorf("%s: %s came back as %s", c.what, cell, got)
			}
		}
	}
}

// A timestamp with a zone is stored as the point in time that it is.
func TestZones(t *testing.T) {
	t.Parallel()
	m := run(t, "a.csv", "x,v\nk,2024-03-01T01:30:00+02:00\nk,2024-02-29 23:30Z\nk,2024-02-29T18:30:00.5-0500\n", "")
	want := [][]string{{"k", "2024-02-29T23:30:00"}, {"k", "2024-02-29T23:30:00"}, {"k", "2024-02-29T23:30:00.5"}}
	if diff := cmp.Diff(want, m.cells); diff != "" || m.profile.Columns[1].Stored != "timestamp(us,utc)" {
		t.Errorf("%s (-want +got):\n%s", m.profile.Columns[1].Stored, diff)
	}
}

// Encodings are found, and the text is the same in each.
func TestEncodings(t *testing.T) {
	t.Parallel()
	const text = "name;city\nJosé;Málaga\nZoë;Köln\n"
	latin1 := strings.NewReplacer("é", "\xe9", "á", "\xe1", "ë", "\xeb", "ö", "\xf6").Replace(text)
	late := strings.Repeat("x;y\n", 100_000) // longer than anything that is looked at ahead
	for _, c := range []struct{ what, content, want string }{
		{"UTF-8", text, "utf-8"},
		{"UTF-8 with a mark", "\ufeff" + text, "utf-8"},
		{"UTF-16 with a mark", utf16Text(binary.LittleEndian, "\ufeff"+text), "utf-16le"},
		{"UTF-16, big, with a mark", utf16Text(binary.BigEndian, "\ufeff"+text), "utf-16be"},
		{"UTF-16 without", utf16Text(binary.LittleEndian, text), "utf-16le"},
		{"UTF-16, big, without", utf16Text(binary.BigEndian, text), "utf-16be"},
		{"Latin-1", latin1, "iso-8859-1"},
		{"Windows", latin1 + "\x80;\x99\n", "windows-1252"},
		{"Latin-1, late", "name;city\n" + late + latin1[10:], "iso-8859-1"},
		{"UTF-8, late", "name;city\n" + late + text[10:], "utf-8"},
		{"gzip'd", string(gzipped(t, []byte(text))), "utf-8"},
		{"gzip'd in two parts", string(append(gzipped(t, []byte(text[:20])), gzipped(t, []byte(text[20:]))...)), "utf-8"},
		{"gzip'd UTF-16", string(gzipped(t, []byte(utf16Text(binary.LittleEndian, "\ufeff"+text)))), "utf-16le"},
	} {
		m := run(t, "a.csv", c.content, "")
		if m.Err != nil {
			t.Errorf("%s: %v", c.what, m.Err)
			continue
		}
		if m.result.Encoding != c.want || (m.result.Compression == "gzip") != strings.HasPrefix(c.what, "gzip") {
			t.Errorf("%s: %s %s", c.what, m.result.Encoding, m.result.Compression)
		}
		var found [][]string
		for _, row := range m.cells {
			if row[0] == "José" || row[0] == "Zoë" {
				found = append(found, row)
			}
		}
		if diff := cmp.Diff([][]string{{"José", "Málaga"}, {"Zoë", "Köln"}}, found); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

// A row that is not UTF-8 in a file that is, is counted.
func TestDamagedUTF8(t *testing.T) {
	t.Parallel()
	m := run(t, "a.csv", "a,b\n"+strings.Repeat("é,1\n", 50)+"\xff,2\né,3\n", "")
	if m.result.Rows != 51 || m.result.BadRows.Count != 1 || m.profile.BadRows.Lines[0] != (table.BadRow{Line: 52, Reason: "not_utf8"}) {
		t.Errorf("%d rows, bad ones %+v", m.result.Rows, m.profile.BadRows)
	}
}

// Rows that do not fit are counted with their line numbers, and the ones around them are kept.
func TestBadRows(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("1,\"x\ny\"\n", 10) // two lines each
	for _, c := range []struct{ what, bad, reason string }{
		{"few", "1", "too_few_cells"},
		{"many", "1,2,3", "too_many_cells"},
		{"after a quote", `1,"x"y`, "text_after_closing_quote"},
		{"a stray quote", `1,"x`, "text_after_closing_quote"}, // the next quote opens a cell, and seems to close this one
		{"too long", "1," + strings.Repeat("x", table.MaxRecord+1<<20), "too_long"},
	} {
		m := run(t, "a.csv", "a,b\n"+good+c.bad+"\n"+good, "")
		want := []table.BadRow{{Line: 22, Reason: "x"}}
		if m.result.Rows != 20 || len(m.profile.BadRows.Lines) != 1 || m.profile.BadRows.Lines[0].Line != want[0].Line || string(m.profile.BadRows.Lines[0].Reason) != c.reason {
			t.Errorf("%s: %d rows, bad ones %+v", c.what, m.result.Rows, m.profile.BadRows)
		}
		if len(m.cells) != 20 || m.cells[19][1] != "x\ny" {
			t.Errorf("%s: %d rows of data", c.what, len(m.cells))
		}
	}
}

// Rows that do not fit are counted before the first one that does, too. Only what has no delimiter is
// taken for lines before the table.
func TestBadRowsAtTheStart(t *testing.T) {
	t.Parallel()
	short := strings.Repeat("1,2\n", 10) + strings.Repeat("1,2,3\n", 20)
	for _, c := range []struct {
		what, content string
		names         string
		rows, skip    int
		bad           []int64
	}{
		{"no last cell, no header", short, "column_1 column_2 column_3", 20, 0, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"a short row before the header", "x,y\na,b,c\n" + strings.Repeat("1,2,3\n", 5), "a b c", 5, 0, []int64{1}},
		{"a title, then a short row", "\nReport\n\nx,y\na,b,c\n" + strings.Repeat("1,2,3\n", 5), "a b c", 5, 3, []int64{4}},
		{"a stray quote in a title", "\"Re\" port\na,b,c\n" + strings.Repeat("1,2,3\n", 5), "a b c", 5, 0, []int64{1}},
		{"a delimiter at the end of all rows but the header", "a,b,c\n1,2,3,\n4,5,6,\n", "a b c column_4", 2, 0, nil},
		{"the same behind a title, all text", "Report\n\na,b,c\n" + strings.Repeat("x,y,z,\n", 3), "a b c column_4", 3, 2, nil},
		{"a header too short for a last cell that is used", "a,b\n1,2,\n3,4,5\n", "column_1 column_2 column_3", 2, 0, []int64{1}},
		{"no header where all rows but the first end so", "1,2,3\n4,5,6,\n7,8,9,\n", "column_1 column_2 column_3 column_4", 2, 0, []int64{1}},
	} {
		m := run(t, "a.csv", c.content, "")
		var bad []int64
		for _, row := range m.profile.BadRows.Lines {
			bad = append(bad, row.Line)
		}
		if diff := cmp.Diff(c.bad, bad); diff != "" {
			t.Errorf("%s: bad rows (-want +got):\n%s", c.what, diff)
		}
		if got := strings.Join(m.names, " "); got != c.names || m.result.Rows != int64(c.rows) || len(m.cells) != c.rows {
			t.Errorf("%s: %d rows of %s, want %d of %s", c.what, m.result.Rows, got, c.rows, c.names)
		}
		if skip := fmt.Sprintf(`"skip":%d}`, c.skip); !strings.Contains(string(m.Result), skip) {
			t.Errorf("%s: no %s in %s", c.what, skip, m.Result)
		}
	}
	for header, rows := range map[string]int64{"yes": 2, "no": 2} {
		m := run(t, "a.csv", "1,2,3\n4,5,6,\n7,8,9,\n", fmt.Sprintf(`{"header":%q}`, header))
		if m.result.Rows != rows || (m.result.BadRows.Count == 0) != (header == "yes") {
			t.Errorf("header %s: %s", header, m.Result)
		}
	}
}

// Every line is a row, a bad row, a blank line, a line within a row, or before the table.
func TestManyBadRows(t *testing.T) {
	t.Parallel()
	m := run(t, "a.csv", "a,b\n"+strings.Repeat("1,2\n\n3\n", 2000), "")
	if m.result.Rows != 2000 || m.result.BlankLines != 2000 || m.result.BadRows.Count != 2000 || len(m.result.BadRows.Lines) != 20 || len(m.profile.BadRows.Lines) != 1000 {
		t.Errorf("%s", m.Result)
	}
}

// A quote that never closes costs its own row, however much comes behind it.
func TestUnterminatedQuote(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{3, (table.MaxRecord + 1<<20) / 4} {
		m := run(t, "a.csv", "a,b\n1,\"2\"\n3,\"4\n"+strings.Repeat("5,6\n", rows), `{"parquet":false}`)
		if m.result.Rows != int64(rows+1) || m.result.BadRows.Count != 1 || m.profile.BadRows.Lines[0] != (table.BadRow{Line: 3, Reason: "unterminated_quote"}) {
			t.Errorf("%d rows: %s", rows, m.Result)
		}
	}
}

func TestNUL(t *testing.T) {
	t.Parallel()
	m := run(t, "a.csv", "a\x00b,c\nx\x00y,\x00\n", "")
	if diff := cmp.Diff([][]string{{"x\x00y", "\x00"}}, m.cells); diff != "" || m.names[0] != "a\x00b" || m.profile.Columns[0].Name != "a\x00b" {
		t.Errorf("%q %s", m.names, diff)
	}
	if m.result.Columns[0].Name != "a\ufffdb" {
		t.Errorf("the result has %q", m.result.Columns[0].Name)
	}
}

// Thousands of columns are all in the profile and the data; the result says how many it leaves out.
func TestManyColumns(t *testing.T) {
	if testing.Short() {
		t.Skip("left to make test-all: as many columns as there may be")
	}
	t.Parallel()
	names, row := make([]string, table.MaxColumns), make([]string, table.MaxColumns)
	for i := range names {
		names[i], row[i] = "a", fmt.Sprint(i)
	}
	content := strings.Join(names, ",") + "\n" + strings.Join(row, ",") + "\n"
	m := run(t, "a.csv", content, "")
	if m.Err != nil {
		t.Fatal(m.Err)
	}
	if m.result.ColumnCount != table.MaxColumns || len(m.result.Columns) != 200 || m.result.ColumnsLeftOut != table.MaxColumns-200 || len(m.profile.Columns) != table.MaxColumns {
		t.Errorf("%d columns, %d told, %d left out", m.result.ColumnCount, len(m.result.Columns), m.result.ColumnsLeftOut)
	}
	if diff := cmp.Diff([][]string{row}, m.cells); diff != "" {
		t.Error("the data is not the table")
	}
	if names := m.names; names[0] != "a" || names[1] != "a_2" || names[8191] != "a_8192" {
		t.Errorf("named %s, %s, … %s", names[0], names[1], names[8191])
	}
	more := strings.Repeat("1,", table.MaxColumns) + "1\n"
	if m := run(t, "a.csv", strings.Repeat(more, 20), ""); m.Code() != jobs.CodeLimitMemory {
		t.Errorf("one column more: %v", m.Err)
	}
}

// Files that are no tables are refused, with a code that says why.
func TestRefused(t *testing.T) {
	t.Parallel()
	packed := gzipped(t, []byte(strings.Repeat("a,b\n", 1000)))
	damaged := bytes.Clone(packed)
	damaged[len(damaged)-6] ^= 1 // of the checksum
	for _, c := range []struct {
		what, content string
		want          jobs.Code
	}{
		{"a picture", "\x89PNG\r\n\x1a\n0000", jobs.CodeUnsupported},
		{"a JSON document", "{\n  \"a\": 1\n}\n", jobs.CodeUnsupported},
		{"a JSON array", `[{"a":1},{"a":2}]`, jobs.CodeUnsupported},
		{"UTF-32", "a\x00\x00\x00", jobs.Code("")},
		{"UTF-32 with a mark", "\xff\xfe\x00\x00a\x00\x00\x00", jobs.CodeUnsupported},
		{"cut gzip", string(packed[:len(packed)-9]), jobs.CodeMalformed},
		{"damaged gzip", string(damaged), jobs.CodeMalformed},
	} {
		if m := run(t, "a.csv", c.content, ""); m.Code() != c.want {
			t.Errorf("%s: %v, want %q", c.what, m.Err, c.want)
		}
	}
	m := jobtest.Run(t, spec.Table(), table.NewLimited(3999), "a.csv.gz", packed, "")
	if m.Code() != jobs.CodeLimitOutput {
		t.Errorf("unpacks to too much: %v", m.Err)
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "\ufeff", "\n\n"} {
		m := run(t, "a.csv", content, "")
		if m.Err != nil || m.result.Rows != 0 {
			t.Errorf("%q: %v %s", content, m.Err, m.Result)
		}
	}
}

func TestJSONLines(t *testing.T) {
	t.Parallel()
	m := run(t, "a.jsonl", strings.Join([]string{
		`{"id": 9007199254740993, "zip": "007", "on": "2024-02-29", "tags": ["a, b", {"c": "}"}], "ok": true}`,
		``,
		`{"ok":false,"id":2,"late":"x\ty \u00e9 \"","zip":null}`,
		`{"id":3,`,
		`[1]`,
		`{"id":4,"id":5}`,
		`{"zip":"","id":-6}`,
	}, "\n"), "")
	if want := "id integer, zip text, on date, tags text, ok boolean, late text"; m.types() != want || m.result.Format != "jsonl" {
		t.Errorf("%s of %s, want %s", m.types(), m.result.Format, want)
	}
	want := [][]string{
		{"9007199254740993", "007", "2024-02-29", `["a, b", {"c": "}"}]`, "true", null},
		{"2", null, null, null, "false", "x\ty é \""},
		{"-6", "", null, null, null, null},
	}
	if diff := cmp.Diff(want, m.cells); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
	bad := []table.BadRow{{4, "not_json"}, {5, "not_an_object"}, {6, "key_twice"}}
	if diff := cmp.Diff(bad, m.profile.BadRows.Lines); diff != "" || m.result.BlankLines != 1 {
		t.Errorf("bad rows (-want +got):\n%s", diff)
	}
	if nulls := m.profile.Columns[5].Nulls; nulls != 2 {
		t.Errorf("the column that came late has %d nulls", nulls)
	}
}
