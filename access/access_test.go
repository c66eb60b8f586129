package access_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/leat-dev/leat/access"
)

func TestKeyIsKnownByItsHash(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		text, name, hash := access.NewKey()
		if !strings.HasPrefix(text, name+"_") || !access.CheckName(name) || seen[name] {
			t.Fatalf("key %q has the name %q", text, name)
		}
		seen[name] = true
		gotName, gotHash, err := access.ParseKey(text)
		if err != nil || gotName != name || !gotHash.Equal(hash) {
			t.Fatalf("parsed as %q, %v", gotName, err)
		}
		last := "a"
		if strings.HasSuffix(text, last) {
			last = "b"
		}
		if _, other, err := access.ParseKey(text[:len(text)-1] + last); err != nil || other.Equal(hash) {
			t.Fatalf("another secret has the same hash, or %v", err)
		}
	}
}

func TestWhatIsNoKey(t *testing.T) {
	t.Parallel()
	text, name, _ := access.NewKey()
	for _, bad := range []string{
		"", "leat_", name, text[1:], text + "a", strings.ToUpper(text), text[:len(text)-1] + "1",
		strings.Replace(text[5:], "_", "a", 1), text[:len(text)-1] + "\n", "Bearer " + text,
	} {
		if _, _, err := access.ParseKey(bad); !errors.Is(err, access.ErrNoKey) {
			t.Errorf("%q: %v, want ErrNoKey", bad, err)
		}
	}
}

func TestNamesAndTheirBeginnings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"": true, "le": true, "leat_": true, "leat_ab2": true, "leat_abcdefgh": true,
		"leat_abcdefghi": false, "x": false, "leat_A": false, "leat_%": false, "leat_1": false,
	} {
		if got := access.CheckName(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	scopes, err := access.ParseScopes(" upload, read,upload")
	if err != nil || scopes.String() != "read,upload" || !scopes.Has(access.Read) || scopes.Has(access.Admin) {
		t.Errorf("%v, %v", scopes, err)
	}
	for _, bad := range []string{"", "write", "upload,", strings.Repeat("x", 1000)} {
		if _, err := access.ParseScopes(bad); err == nil || len(err.Error()) > 200 {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	text, _, _ := access.NewKey()
	f.Add(text)
	f.Add("leat_")
	f.Fuzz(func(t *testing.T, text string) {
		name, hash, err := access.ParseKey(text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(text, name+"_") || !access.CheckName(name) || hash == (access.Hash{}) {
			t.Errorf("%q was taken for the key %q", text, name)
		}
	})
}
