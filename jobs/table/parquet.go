package table

import (
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding"
)

const (
	// rowGroup bounds the rows that are kept until they are written, in bytes of the table's text.
	// What is kept of them is compressed.
	rowGroup = 32 << 20
	// maxGroupRows bounds the same where rows are short.
	maxGroupRows = 1 << 20
	// allPages bounds what is kept of all columns before it is compressed, in bytes.
	allPages = 8 << 20
	maxPage  = 256 << 10
	minPage  = 1 << 10
	// batchCells is how many cells are handed to the columns at once.
	batchCells = 32 << 10
	maxBatch   = 512 // rows
)

// root is the schema of a table: its columns in their own order, where the library's own group has
// them in alphabetical order, and no Go type, which it would make and keep for each schema.
type root struct {
	parquet.Group
	fields []parquet.Field
}

// Fields implements parquet.Node.
func (r *root) Fields() []parquet.Field { return r.fields }

// GoType implements parquet.Node.
func (r *root) GoType() reflect.Type { return reflect.TypeFor[struct{}]() }

// field is a column of the schema.
type field struct {
	parquet.Node
	name string
}

// Name implements parquet.Field.
func (f *field) Name() string { return f.name }

// Value implements parquet.Field; it would be asked for rows that are Go values.
func (f *field) Value(base reflect.Value) reflect.Value { return base }

func schemaOf(columns []ColumnProfile) *parquet.Schema {
	r := &root{}
	for i := range columns {
		r.fields = append(r.fields, &field{parquet.Optional(columns[i].layout.node()), columns[i].Name})
	}
	return parquet.NewSchema("table", r)
}

func (l layout) node() parquet.Node {
	var as encoding.Encoding = &parquet.Plain
	var node parquet.Node
	switch l.kind {
	case kindInteger:
		node, as = parquet.Int(64), &parquet.DeltaBinaryPacked
	case kindBoolean:
		node = parquet.Leaf(parquet.BooleanType)
	case kindDate:
		node, as = parquet.Date(), &parquet.DeltaBinaryPacked
	case kindTimestamp:
		node, as = parquet.TimestampAdjusted(parquet.Microsecond, l.zoned), &parquet.DeltaBinaryPacked
	case kindDecimal:
		switch p := l.precision; {
		case p == 0:
			node = parquet.Leaf(parquet.DoubleType)
		case p <= 9:
			node = parquet.Decimal(l.scale, p, parquet.Int32Type)
		case p <= 18:
			node = parquet.Decimal(l.scale, p, parquet.Int64Type)
		default:
			node = parquet.Decimal(l.scale, p, parquet.FixedLenByteArrayType(16))
		}
	default:
		node = parquet.String()
		if l.dictionary {
			as = &parquet.RLEDictionary
		}
	}
	return parquet.Encoded(node, as)
}

// writer writes rows as Parquet. Of the rows it keeps a batch, by column, and what the library keeps
// of a row group.
type writer struct {
	w       *parquet.GenericWriter[any]
	columns []*parquet.ColumnWriter
	layouts []layout
	batch   [][]parquet.Value // of each column
	limit   int               // rows of a batch
	rows    int               // in the batch
	arena   []byte            // the bytes of its values
	group   int               // bytes of the rows of the row group
	inGroup int               // rows of it
}

func newWriter(w io.Writer, columns []ColumnProfile) *writer {
	n := len(columns)
	page := min(max(allPages/n, minPage), maxPage)
	p := &writer{
		w: parquet.NewGenericWriter[any](
			w, schemaOf(columns),
			parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault, Concurrency: 1}),
			parquet.PageBufferSize(page),
			parquet.ColumnPageBuffers(parquet.NewChunkBufferPool(page)), // what is kept of a column comes in such chunks
			parquet.DictionaryMaxBytes(1<<20),
			parquet.CreatedBy("leat", "", ""),
		),
		batch: make([][]parquet.Value, n),
		limit: min(max(batchCells/n, 1), maxBatch),
	}
	p.columns = p.w.ColumnWriters()
	for i := range columns {
		p.layouts = append(p.layouts, columns[i].layout)
		p.batch[i] = make([]parquet.Value, 0, p.limit)
	}
	return p
}

// errChanged says that a cell is not what the first pass over the same file saw.
var errChanged = errors.New("the file is not what it was when it was read first")

// add writes a row. Cells of columns that the row does not have are null.
func (p *writer) add(row *record, isNull func(*cell) bool) error {
	for i, layout := range p.layouts {
		value := parquet.NullValue().Level(0, 0, i)
		if i < len(row.cells) && !isNull(&row.cells[i]) {
			v, ok := p.value(&row.cells[i], layout)
			if !ok {
				return fmt.Errorf("line %d, column %d: %w", row.line, i+1, errChanged)
			}
			value = v.Level(0, 1, i)
		}
		p.batch[i] = append(p.batch[i], value)
	}
	p.rows++
	p.inGroup++
	p.group += row.size
	if p.rows == p.limit || len(p.arena) > maxPage {
		return p.flush()
	}
	return nil
}

func (p *writer) flush() error {
	for i, values := range p.batch {
		if _, err := p.columns[i].WriteRowValues(values); err != nil {
			return fmt.Errorf("write Parquet: %w", err)
		}
		p.batch[i] = values[:0]
	}
	p.rows, p.arena = 0, p.arena[:0]
	if p.group < rowGroup && p.inGroup < maxGroupRows {
		return nil
	}
	p.group, p.inGroup = 0, 0
	if err := p.w.Flush(); err != nil {
		return fmt.Errorf("write Parquet: %w", err)
	}
	return nil
}

func (p *writer) close() error {
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.w.Close(); err != nil {
		return fmt.Errorf("write Parquet: %w", err)
	}
	return nil
}

// value gives a cell as its column's layout has it.
func (p *writer) value(c *cell, l layout) (v parquet.Value, ok bool) {
	text := trim(c.text)
	switch l.kind {
	case kindText:
		return parquet.ByteArrayValue(p.keep(c.text)), true
	case kindInteger:
		n, ok := parseNumber(text)
		return parquet.Int64Value(n.integer), ok && n.whole
	case kindBoolean:
		b, ok := parseBool(text)
		return parquet.BooleanValue(b), ok
	case kindDate:
		days, ok := parseDate(text)
		return parquet.Int32Value(days), ok
	case kindTimestamp:
		micros, zoned, ok := parseTimestamp(text)
		return parquet.Int64Value(micros), ok && zoned == l.zoned
	case kindNone, kindDecimal:
	}
	return p.decimal(text, l)
}

func (p *writer) decimal(text []byte, l layout) (v parquet.Value, ok bool) {
	switch {
	case l.precision == 0:
		n, ok := parseNumber(text)
		return parquet.DoubleValue(n.value), ok
	case l.precision <= 18:
		n, ok := decimal64(text, l.scale)
		if l.precision <= 9 {
			return parquet.Int32Value(int32(n)), ok
		}
		return parquet.Int64Value(n), ok
	}
	var wide [16]byte
	ok = decimalBytes(&wide, text, l.scale)
	return parquet.FixedLenByteArrayValue(p.keep(wide[:])), ok
}

// keep copies bytes to where they stay until the batch is written.
func (p *writer) keep(b []byte) []byte {
	start := len(p.arena)
	p.arena = append(p.arena, b...)
	return p.arena[start:len(p.arena):len(p.arena)]
}
