package fsblob

// OpenDisk opens the FS on a real folder.
func OpenDisk(dir string) (FS, error) { return openDisk(dir) }

// LinkMove is Move as it is where the system has no rename that does not replace.
func LinkMove(fs FS, oldname, newname string) error { return fs.(*disk).linkMove(oldname, newname) }

// Sizes at which a Put changes how it works, in bytes.
const (
	SmallBuffer    = smallBuffer
	LargeBuffer    = largeBuffer
	WritebackEvery = writebackEvery
)

// MaxRings is how many Puts can hash beside their writing.
const MaxRings = maxRings
