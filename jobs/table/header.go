package table

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds a column's name, in bytes; a longer one is cut.
const maxName = 256

// headerRows is how many rows are compared with the first one to find out whether it is a header.
const headerRows = 1000

// sniffHeader tells whether the first row has the columns' names: it does when it is all empty, or
// when a cell of it is text where the rows below have something else. It does not when any of its
// cells is a number, a date or the like. A table that is all text has a header when the first row
// looks like names, and none of them comes again below.
func sniffHeader(sample []byte, d Dialect, columns int) bool {
	r := newSampleReader(sample, d)
	if r.skipLines(d.Skip) != nil {
		return false
	}
	cells := columns
	if d.ShortHeader {
		cells--
	}
	first := nextFitting(r, cells)
	if first == nil {
		return false
	}
	names := make([]string, cells)
	for i, c := range first.cells {
		names[i] = string(bytes.TrimSpace(c.text))
	}
	below := make([]kind, columns)
	again := false
	for range headerRows {
		row := nextFitting(r, columns)
		if row == nil {
			break
		}
		for i, c := range row.cells {
			if text := bytes.TrimSpace(c.text); len(text) > 0 {
				below[i] = below[i].with(classify(text, c.form))
				again = again || i < cells && string(text) == names[i]
			}
		}
	}
	return looksLikeHeader(names, below, again)
}

// lacksLastCell tells whether the first row has all cells but the last, which is empty in all rows below.
func lacksLastCell(sample []byte, d Dialect, columns int) bool {
	r := newSampleReader(sample, d)
	if r.skipLines(d.Skip) != nil {
		return false
	}
	first, err := r.next()
	for err == nil && first.blank() {
		first, err = r.next()
	}
	if err != nil || first.fault != "" || len(first.cells) != columns-1 {
		return false
	}
	for range headerRows {
		row := nextFitting(r, columns)
		if row == nil {
			break
		}
		if len(bytes.TrimSpace(row.cells[columns-1].text)) > 0 {
			return false
		}
	}
	return true
}

// nextFitting gives the next row that fits, or nil.
func nextFitting(r *reader, columns int) *record {
	for {
		row, err := r.next()
		if err != nil {
			return nil
		}
		if row.fault == "" && len(row.cells) == columns && !row.blank() {
			return row
		}
	}
}

func looksLikeHeader(names []string, below []kind, again bool) bool {
	empty, typed, nameLike := true, false, true
	for i, name := range names {
		if name == "" {
			nameLike = false
			continue
		}
		empty = false
		if classify([]byte(name), plain) != kindText {
			return false
		}
		typed = typed || below[i] != kindText && below[i] != kindNone
		first, _ := utf8.DecodeRuneInString(name)
		nameLike = nameLike && (unicode.IsLetter(first) || first == '_')
	}
	if empty || typed {
		return true
	}
	sorted := slices.Sorted(slices.Values(names))
	return nameLike && !again && len(slices.Compact(sorted)) == len(names)
}

// namer gives columns names of which each is there once. It knows of each name the number that the
// next column of that name is tried with.
type namer map[string]int

// name makes a name of what the header has for the column at an index, or of the index.
func (n namer) name(header []byte, index int) string {
	name := strings.ToValidUTF8(strings.TrimSpace(string(header)), "\ufffd")
	if name == "" {
		name = fmt.Sprintf("column_%d", index+1)
	}
	name = cut(name, maxName)
	unique := name
	for ; n[unique] > 0; unique = fmt.Sprintf("%s_%d", name, n[name]) {
		n[name]++
	}
	n[unique] = max(n[unique], 1)
	return unique
}

// cut shortens text to at most limit bytes, at a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
