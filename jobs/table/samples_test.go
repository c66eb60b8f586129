package table_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outcome is what a file must come to.
type outcome struct {
	dialect string // delimiter, quote, escape, header, skip
	types   string // of each column, by its first letter
	rows    int64
	bad     int64
}

// outcomes has every file of the corpora that are run.
func outcomes() map[string]outcome {
	const comma, commaHeader = `, " " false 0`, `, " " true 0`
	return map[string]outcome{
		"all_utf16.csv":                {comma, "t", 63487, 0},
		"big_number.csv":               {commaHeader, "d", 1, 0},
		"comma_in_quotes.csv":          {commaHeader, "ttttt", 1, 0},
		"dateformat.csv":               {comma, "t", 1, 0},
		"drug_exposure.csv":            {commaHeader, "iiiDTDTtittdttittittitt", 4113, 0},
		"duplicate_header_columns.csv": {commaHeader, "itttttttttttt", 2, 0},
		"empty.csv":                    {commaHeader, "iii", 2, 0},
		"empty_crlf.csv":               {commaHeader, "iii", 2, 0},
		"empty_header.csv":             {commaHeader, "itt", 2, 0},
		"escaped_quotes.csv":           {commaHeader, "it", 2, 0},
		"header_only.csv":              {commaHeader, "t", 0, 0},
		"json.csv":                     {commaHeader, "it", 1, 0},
		"leading_space_numerics.csv":   {comma, "itt", 3, 0},
		"location_coordinates.csv":     {commaHeader, "ittt", 1, 0},
		"mixed_format_fail.csv":        {"\t \" \" true 0", "t", 3, 0},
		"mixedtypes.csv":               {`, ' ' true 0`, "tt", 13400, 0},
		"newlines.csv":                 {commaHeader, "tii", 3, 0},
		"newlines_crlf.csv":            {commaHeader, "tii", 3, 0},
		"nullbyte_header.csv":          {`| " " true 0`, "tt", 1, 0},
		"pipe_delim_quote.csv":         {`| " " false 0`, "itt", 3, 0},
		"public_daily_sample.csv":      {comma, "", 1441, 4515},
		"quotes_and_newlines.csv":      {commaHeader, "it", 2, 0},
		"semicolon_quote.csv":          {`; " " false 0`, "itt", 3, 0},
		"simple.csv":                   {commaHeader, "iii", 1, 0},
		"simple_crlf.csv":              {commaHeader, "iii", 1, 0},
		"single_quote.csv":             {`, ' ' true 0`, "t", 1, 0},
		"single_quote_backslash.csv":   {`| ' \ false 0`, "itt", 3, 0},
		"skip_row.csv":                 {`, " " true 1`, "dtD", 1, 0},
		"small_bad.csv":                {comma, "tt", 4, 0},
		"tab_single_quote.csv":         {"\t ' ' false 0", "itt", 3, 0},
		"time_date_timestamp.csv":      {commaHeader, "ittDT", 3, 0},
		"timestamp_tz.csv":             {comma, "t", 4, 0},
		"utf8.csv":                     {commaHeader, "iit", 2, 0},
		"voter.tsv":                    {"\t \" \" true 0", "", 5300, 0},
		"who.csv.gz":                   {commaHeader, "", 7240, 0},
		"windows_newline.csv":          {comma, "iti", 20000, 0},
	}
}

// Real files, each with what it must come to. The small ones are in testdata.
func TestSamples(t *testing.T) {
	t.Parallel()
	for name, want := range outcomes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := run(t, name, dataFile(t, name), "")
			if m.Err != nil {
				t.Fatal(m.Err)
			}
			var d struct {
				Dialect struct {
					Delimiter, Quote, Escape string
					Header                   bool
					Skip                     int
				}
			}
			if err := json.Unmarshal(m.Result, &d); err != nil {
				t.Fatal(err)
			}
			got := outcome{rows: m.result.Rows, bad: m.result.BadRows.Count}
			got.dialect = fmt.Sprint(d.Dialect.Delimiter, " ", d.Dialect.Quote, " ", d.Dialect.Escape, " ", d.Dialect.Header, " ", d.Dialect.Skip)
			for _, c := range m.profile.Columns {
				got.types += map[string]string{"integer": "i", "decimal": "d", "boolean": "b", "date": "D", "timestamp": "T", "text": "t"}[c.Type]
			}
			if want.types == "" { // of wide tables
				got.types = ""
			}
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			if int64(len(m.cells)) != want.rows {
				t.Errorf("%d rows of data", len(m.cells))
			}
		})
	}
}

// csv-spectrum, cell by cell, as it comes back from Parquet. In the published files of that corpus
// some line ends have been changed, and in one a number: both are put right first.
func TestSpectrum(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"comma_in_quotes", "empty", "empty_crlf", "escaped_quotes", "json", "location_coordinates", "newlines",
		"newlines_crlf", "quotes_and_newlines", "simple", "simple_crlf", "utf8",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := strings.ReplaceAll(dataFile(t, name+".csv"), "2095257564", "1234567890")
			if strings.HasSuffix(name, "_crlf") && !strings.Contains(content, "\r") {
				content = strings.ReplaceAll(content, "\n", "\r\n")
			}
			var want []map[string]string
			expected := strings.TrimSpace(dataFile(t, name+".expected.json"))
			if !strings.HasPrefix(expected, "[") {
				expected = "[" + expected + "]"
			}
			if err := json.Unmarshal([]byte(expected), &want); err != nil {
				t.Fatal(err)
			}
			m := run(t, name+".csv", content, "")
			var got []map[string]string
			for _, row := range m.cells {
				line := map[string]string{}
				for i, cell := range row {
					line[m.names[i]] = strings.ReplaceAll(cell, null, "")
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
