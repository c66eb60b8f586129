package fsblob

// OpenLinkingDisk opens the FS on a real folder, as it is where the system has no rename that does
// not replace.
func OpenLinkingDisk(dir string) (FS, error) {
	d, err := openDisk(dir)
	return linkingDisk{d}, err
}

type linkingDisk struct{ *disk }

func (d linkingDisk) Move(oldname, newname string) error { return d.linkMove(oldname, newname) }

// Sizes at which a Put changes how it works, in bytes.
const (
	SmallBuffer    = smallBuffer
	LargeBuffer    = largeBuffer
	WritebackEvery = writebackEvery
)

// How often an Append saves: after so many bytes and so long.
const (
	SaveBytes = saveBytes
	SaveEvery = saveEvery
)

// MaxRings is how many Puts can hash beside their writing.
const MaxRings = maxRings
