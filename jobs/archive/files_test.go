package archive_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What becomes of archives that were made to break programs that unpack them: files behind links,
// and names that differ in case alone, are files like others, since no name becomes a path.
func TestRealFiles(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"archive.zip":            {"!../traverse climbing", "!/absolute absolute"},
		"case-insensitive.tar":   {"Tmp/test-file=helo\n", "!tmp link"},
		"case-insensitive.zip":   {"Tmp/some-file=hello\n", "!tmp link"},
		"specialfiles.tar":       {"regular.txt=regular\n", "!fifo special", "!null device", "!sda device", "!symlink link", "!hardlink link"},
		"specialmodes.tar":       {"setuidstuff.txt=setuidstuff\n", "setuidstuff2.txt=setuidstuff2\n", "tmpstuff.txt=tmpstuff\n"},
		"symlinks.zip":           {"!thisisalink.txt link"},
		"symlinks3.zip":          {"root/poc.txt=pwnd\n", "!root/ link"},
		"traverse-via-links.tar": {"linktoroot/root/.bashrc=pwnd\n", "linktoescape=pwnd2\n", "!linktoroot link", "!linktoescape link"},
		"traverse.tar":           {"readme.txt=", "!/gopher.txt absolute", "!../todo.txt climbing"},
		"winshort.tar": {
			"3D Objects=helo\n", "Androi~2=helo\n", "ANDROI~2=helo\n as ANDROI~2 (2)", "foo/ANDROI~2/bar=helo\n",
			"foo/FOOOOO~1.JPG/bar=helo\n as bar (2)", "foo/Androi~2/bar=helo\n as bar (3)", "FOOOOO~1.JPG=helo\n", "Some~Stuff=helo\n",
		},
		"winshort.zip": {
			"3D Objects=helo\n", "Androi~2=helo\n", "ANDROI~2=helo\n as ANDROI~2 (2)", "FOOOOO~1.JPG=helo\n", "Some~Stuff=helo\n",
			"foo/ANDROI~2/bar=helo\n", "foo/FOOOOO~1.JPG/bar=helo\n as bar (2)", "foo/Androi~2/bar=helo\n as bar (3)",
		},
		"xattr.tar": {"something.txt=something\n"},
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := file.Name()
		if strings.HasSuffix(name, ".md") || strings.HasSuffix(name, ".7z") || file.IsDir() {
			continue
		}
		expected, ok := want[name]
		if !ok {
			t.Errorf("nobody says what becomes of %s", name)
			continue
		}
		if diff := cmp.Diff(expected, outcome(t, unpack(t, name, readFile(t, name), ""))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
