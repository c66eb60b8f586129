package archive

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/ulikunitz/xz/lzma"
)

// sevenFolder is a stream in which files are packed together.
type sevenFolder struct {
	coders []sevenCoder
	pairs  []sevenPair
	sizes  []uint64 // of what comes out of the coders
	packed int      // streams in the archive that it is made of
	off    int64    // of the first of them, behind the start record
	length int64    // of the first of them
	sum    uint32
	summed bool
	count  int // of files
	parts  []sevenPart
}

// sevenCoder is one step of unpacking.
type sevenCoder struct {
	method     string
	ins, outs  uint64
	properties []byte
}

// sevenPair says that what goes into one coder is what comes out of another.
type sevenPair struct{ in, out uint64 }

// The methods of coders that are told apart.
const (
	sevenCopy    = "\x00"
	sevenDelta   = "\x03"
	sevenLZMA2   = "\x21"
	sevenLZMA    = "\x03\x01\x01"
	sevenDeflate = "\x04\x01\x08"
	sevenBzip2   = "\x04\x02\x02"
	sevenZstd    = "\x04\xf7\x11\x01"
	sevenAES     = "\x06\xf1\x07\x01"
)

// locked tells why a folder cannot be unpacked; empty when it can. Folders whose coders are not a
// chain, which 7-Zip makes for programs (BCJ2), are not unpacked, nor are those for one processor.
func (f *sevenFolder) locked() Reason {
	reason := Reason("")
	for _, coder := range f.coders {
		switch {
		case coder.method == sevenAES:
			return Encrypted
		case coder.ins != 1 || coder.outs != 1 || sevenUnpacker(coder.method) == nil:
			reason = Method
		}
	}
	if _, ok := f.chain(); !ok && reason == "" {
		return Method
	}
	return reason
}

// chain gives the coders in the order in which they unpack.
func (f *sevenFolder) chain() ([]uint64, bool) {
	at, ok := f.last()
	if !ok || f.packed != 1 {
		return nil, false
	}
	order := []uint64{at}
	for len(order) < len(f.coders) {
		i := slices.IndexFunc(f.pairs, func(p sevenPair) bool { return p.in == at })
		if i < 0 || f.pairs[i].out >= uint64(len(f.coders)) || slices.Contains(order, f.pairs[i].out) {
			return nil, false
		}
		at = f.pairs[i].out
		order = append(order, at)
	}
	slices.Reverse(order)
	return order, true
}

// last is the stream that comes out of the folder: the one that goes into no coder.
func (f *sevenFolder) last() (uint64, bool) {
	for i := range f.sizes {
		if !slices.ContainsFunc(f.pairs, func(p sevenPair) bool { return p.out == uint64(i) }) {
			return uint64(i), true
		}
	}
	return 0, false
}

// size is that of the unpacked folder, in bytes.
func (f *sevenFolder) size() uint64 {
	last, ok := f.last()
	if !ok {
		return 0
	}
	return f.sizes[last]
}

// open unpacks a folder that is not locked.
func (f *sevenFolder) open(src *source) (io.ReadCloser, error) {
	if left := src.size() - sevenStart; f.length > left || f.off > left-f.length {
		return nil, io.ErrUnexpectedEOF
	}
	order, ok := f.chain()
	if !ok {
		return nil, errDamaged
	}
	all := &closers{Reader: bufio.NewReaderSize(src.section(sevenStart+f.off, f.length), buffer)}
	for _, i := range order {
		coder := &f.coders[i]
		next, err := sevenUnpacker(coder.method)(all.Reader, coder.properties, f.sizes[i])
		if err != nil {
			return nil, errors.Join(noEOF(err), all.Close())
		}
		all.list = append(all.list, next)
		all.Reader = io.LimitReader(next, int64(f.sizes[i]))
	}
	return all, nil
}

// closers is a chain of readers that are closed together.
type closers struct {
	io.Reader
	list []io.Closer
}

// Close implements io.Closer.
func (c *closers) Close() error {
	var errs []error
	for _, closer := range slices.Backward(c.list) {
		errs = append(errs, closer.Close())
	}
	return errors.Join(errs...)
}

type sevenOpen func(r io.Reader, properties []byte, size uint64) (io.ReadCloser, error)

// sevenUnpacker gives what undoes a method; nil when nothing does.
func sevenUnpacker(method string) sevenOpen {
	plain := func(open func(io.Reader) (io.ReadCloser, error)) sevenOpen {
		return func(r io.Reader, _ []byte, _ uint64) (io.ReadCloser, error) { return open(r) }
	}
	switch method {
	case sevenCopy:
		return plain(func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(r), nil })
	case sevenDelta:
		return openDelta
	case sevenLZMA:
		return openLZMA
	case sevenLZMA2:
		return openLZMA2
	case sevenDeflate:
		return plain(func(r io.Reader) (io.ReadCloser, error) { return flate.NewReader(r), nil })
	case sevenBzip2:
		return plain(openBzip2)
	case sevenZstd:
		return plain(openZstd)
	}
	return nil
}

// openLZMA reads with a window of the declared size, or of the content's own when that is less.
func openLZMA(r io.Reader, properties []byte, size uint64) (io.ReadCloser, error) {
	if len(properties) != 5 {
		return nil, errDamaged
	}
	window, err := window(uint64(binary.LittleEndian.Uint32(properties[1:])), size)
	if err != nil {
		return nil, err
	}
	header := binary.LittleEndian.AppendUint32([]byte{properties[0]}, uint32(window))
	header = binary.LittleEndian.AppendUint64(header, size)
	unpacked, err := lzma.ReaderConfig{DictCap: window}.NewReader(bufio.NewReaderSize(io.MultiReader(bytes.NewReader(header), r), buffer))
	if err != nil {
		return nil, err
	}
	return io.NopCloser(unpacked), nil
}

func openLZMA2(r io.Reader, properties []byte, size uint64) (io.ReadCloser, error) {
	const most = 40
	if len(properties) != 1 || properties[0] > most {
		return nil, errDamaged
	}
	bits := properties[0]
	window, err := window(uint64(2|bits&1)<<(bits/2+11), size)
	if err != nil {
		return nil, err
	}
	unpacked, err := lzma.Reader2Config{DictCap: window}.NewReader2(r)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(unpacked), nil
}

// window is how much of a content a decompressor has to keep.
func window(declared, size uint64) (int, error) {
	window := min(declared, size)
	if window > Max7zWindow {
		return 0, errWindow
	}
	return max(int(window), lzma.MinDictCap), nil
}

// openDelta adds to each byte the one that came a distance before.
func openDelta(r io.Reader, properties []byte, _ uint64) (io.ReadCloser, error) {
	if len(properties) != 1 {
		return nil, errDamaged
	}
	return io.NopCloser(&delta{r: r, last: make([]byte, int(properties[0])+1)}), nil
}

type delta struct {
	r    io.Reader
	last []byte
	at   int
}

// Read implements io.Reader.
func (d *delta) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	for i := range p[:n] {
		p[i] += d.last[d.at]
		d.last[d.at] = p[i]
		d.at = (d.at + 1) % len(d.last)
	}
	return n, err
}
