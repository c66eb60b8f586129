package fsblob

import "github.com/leat-dev/leat/blob"

// What lies in the folder:
//
//	identity                                          the id of the store that owns it
//	objects/0198/a3f/0198a3f2-7c1e-7abc-8def-0123…    an object, or what there is of one that comes in pieces
//	tmp/0198a3f2-7c1e-7abc-8def-0123….<random>        what there is of one that a Put is making
//
// An object's folders are the first 4 and the next 3 hexadecimal digits of its key, which for a
// UUIDv7 are the leading 28 of its 48 bits of time in milliseconds. So one folder holds the objects
// of 2^20 ms, 17.5 minutes: 1,000 of them at one a second, 100,000 at a hundred a second, which
// file systems with indexed folders take well; and a folder of the first level holds at most 4,096
// folders and lasts 50 days.
//
// Fanning out by time rather than by the key's random tail makes the order of paths the order of
// keys, so that List reads one folder at a time; it makes Puts that happen together change one and
// the same folder, so that they can share its sync; and it makes new folders rare, each of which
// costs two syncs more.
const (
	objectsDir   = "objects"
	tempDir      = "tmp"
	identityFile = "identity"
)

// pathOf is the path of the object under key.
func pathOf(key blob.Key) string { return folderOf(key) + "/" + key.String() }

// folderOf is the path of the folder that holds the object under key.
func folderOf(key blob.Key) string { return topOf(key) + "/" + leafOf(key) }

// topOf is the path of the folder of the first level.
func topOf(key blob.Key) string { return objectsDir + "/" + key.String()[:4] }

// leafOf is the name of the folder of the second level.
func leafOf(key blob.Key) string {
	text := key.String()
	return text[4:7]
}
