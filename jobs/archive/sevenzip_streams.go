package archive

import "slices"

// sevenStreams are the folders of an archive.
type sevenStreams struct{ folders []sevenFolder }

// sevenPart is a file in a folder.
type sevenPart struct {
	size   int64
	sum    uint32
	summed bool // sum is there
}

// streams reads where the folders are, how they are packed, and which files are in them.
func (r *sevenReader) streams() sevenStreams {
	var position uint64
	var packed []uint64
	var s sevenStreams
	parts := false
	r.sections(func(id byte) {
		switch id {
		case sevenPackInfo:
			position, packed = r.packInfo()
		case sevenUnpackInfo:
			s.folders = r.folders()
		case sevenSubStreams:
			r.parts(s.folders)
			parts = true
		default:
			r.fail()
		}
	})
	if !parts {
		for i := range s.folders {
			s.folders[i].count = 1
		}
		r.partSizes(s.folders, false)
	}
	r.place(s.folders, position, packed)
	return s
}

// packInfo reads where the packed streams begin, and how long each is.
func (r *sevenReader) packInfo() (position uint64, sizes []uint64) {
	position = r.size()
	const each = 4 // of the streams that a folder is made of; 7-Zip makes no more
	n := r.count(each * r.most)
	r.sections(func(id byte) {
		switch id {
		case sevenSizes:
			for i := 0; i < n && r.err == nil; i++ {
				sizes = append(sizes, r.size())
			}
		case sevenSums:
			r.sums(n, func(int, uint32) {})
		default:
			r.fail()
		}
	})
	return position, sizes
}

// sums reads the checksums of n things.
func (r *sevenReader) sums(n int, set func(i int, sum uint32)) {
	for i, defined := range r.defined(n) {
		if defined {
			set(i, r.uint32())
		}
	}
}

// folders reads how each folder is packed.
func (r *sevenReader) folders() []sevenFolder {
	r.expect(sevenFolders)
	n := r.count(r.most)
	r.expect(0) // not elsewhere
	var folders []sevenFolder
	for i := 0; i < n && r.err == nil; i++ {
		folders = append(folders, r.folder())
	}
	r.expect(sevenOutSizes)
	for i := range folders {
		for j := range folders[i].sizes {
			folders[i].sizes[j] = r.size()
		}
	}
	r.sections(func(id byte) {
		if id != sevenSums {
			r.fail()
		}
		r.sums(len(folders), func(i int, sum uint32) { folders[i].sum, folders[i].summed = sum, true })
	})
	return folders
}

// folder reads which coders made a folder, and how they are connected.
func (r *sevenReader) folder() sevenFolder {
	const most = 32 // of coders, and of what goes into and out of one; 7-Zip's own limit
	var f sevenFolder
	n := r.number()
	if n == 0 || n > most {
		r.fail()
	}
	ins, outs := uint64(0), uint64(0)
	for i := uint64(0); i < n && r.err == nil; i++ {
		coder := r.coder(most)
		ins, outs = ins+coder.ins, outs+coder.outs
		f.coders = append(f.coders, coder)
	}
	if r.err != nil || outs == 0 || ins < outs-1 {
		r.fail()
		return f
	}
	for range outs - 1 {
		f.pairs = append(f.pairs, sevenPair{in: r.number(), out: r.number()})
	}
	f.packed = int(ins - (outs - 1))
	if f.packed > 1 {
		for range f.packed {
			r.number() // only folders with one packed stream are unpacked
		}
	}
	f.sizes = make([]uint64, outs)
	return f
}

// coder reads one coder, of at most so many streams on either side.
func (r *sevenReader) coder(most uint64) sevenCoder {
	flags := r.byte()
	coder := sevenCoder{ins: 1, outs: 1, method: string(r.take(uint64(flags & 0x0f)))}
	if flags&0x10 != 0 {
		coder.ins, coder.outs = r.number(), r.number()
	}
	if flags&0x20 != 0 {
		coder.properties = slices.Clone(r.take(r.number()))
	}
	if flags&0xc0 != 0 || coder.ins > most || coder.outs > most {
		r.fail()
	}
	return coder
}

// parts reads how many files are in each folder, how long they are, and their checksums.
func (r *sevenReader) parts(folders []sevenFolder) {
	for i := range folders {
		folders[i].count = 1
	}
	counted, sized := false, false
	r.sections(func(id byte) {
		switch {
		case id == sevenCounts && !counted && !sized:
			counted = true
			r.counts(folders)
		case id == sevenSizes && !sized:
			sized = true
			r.partSizes(folders, true)
		case id == sevenSums:
			if !sized {
				sized = true
				r.partSizes(folders, false)
			}
			r.partSums(folders)
		default:
			r.fail()
		}
	})
	if !sized {
		r.partSizes(folders, false)
	}
}

// counts reads how many files are in each folder.
func (r *sevenReader) counts(folders []sevenFolder) {
	total := 0
	for i := 0; i < len(folders) && r.err == nil; i++ {
		folders[i].count = r.count(r.most)
		if total += folders[i].count; total > r.most {
			r.tooMany()
		}
	}
}

// partSums reads the checksums of the files that have none yet.
func (r *sevenReader) partSums(folders []sevenFolder) {
	var missing []*sevenPart
	for i := range folders {
		for j := range folders[i].parts {
			if part := &folders[i].parts[j]; !part.summed {
				missing = append(missing, part)
			}
		}
	}
	r.sums(len(missing), func(i int, sum uint32) { missing[i].sum, missing[i].summed = sum, true })
}

// partSizes reads how long the files in each folder are: each but the last, which takes the rest. The
// only file in a folder has its checksum.
func (r *sevenReader) partSizes(folders []sevenFolder, told bool) {
	for i := range folders {
		f := &folders[i]
		if f.count > 1 && !told {
			r.fail()
		}
		left := f.size()
		for j := 0; j < f.count && r.err == nil; j++ {
			size := left
			if j < f.count-1 {
				size = r.size()
			}
			if size > left {
				r.fail()
				return
			}
			left -= size
			f.parts = append(f.parts, sevenPart{size: int64(size)})
		}
		if f.count == 1 && len(f.parts) == 1 {
			f.parts[0].sum, f.parts[0].summed = f.sum, f.summed
		}
	}
}

// place tells each folder where its packed stream is.
func (r *sevenReader) place(folders []sevenFolder, position uint64, packed []uint64) {
	for i := range folders {
		f := &folders[i]
		if f.packed > len(packed) {
			r.fail()
			return
		}
		f.off = int64(position)
		for j, size := range packed[:f.packed] {
			if j == 0 {
				f.length = int64(size)
			}
			if position += size; position > 1<<62 {
				r.fail()
				return
			}
		}
		packed = packed[f.packed:]
	}
}
