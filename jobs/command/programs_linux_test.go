package command_test

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

// example gives a declaration as the documentation has it.
func example(t *testing.T, name string) declare.Command {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "kinds", "command.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1) {
		file := filepath.Join(t.TempDir(), "leat.yaml")
		if err := os.WriteFile(file, block[1], 0o600); err != nil {
			t.Fatal(err)
		}
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		loader := config.Bind(flags, config.Default())
		if err := flags.Parse([]string{"--config", file}); err != nil {
			t.Fatal(err)
		}
		opts, err := loader.Load(func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		if command, ok := opts.Commands[name]; ok {
			return command
		}
	}
	t.Fatalf("the documentation has no example %q", name)
	return declare.Command{}
}

// needs skips a test where a program is not installed.
func needs(t *testing.T, program, debian string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not there; Debian has it in the package %s", program, debian)
	}
}

// film makes a short film with sound, and gives its path and content.
func film(t *testing.T, name, audio string) (path, content string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-loglevel", "error",
		"-f", "lavfi", "-i", "testsrc=duration=2:size=160x120:rate=10", "-f", "lavfi", "-i", "sine=duration=2",
		"-c:v", "mpeg4", "-c:a", audio, path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(text)
}

func TestFFmpeg(t *testing.T) {
	t.Parallel()
	needs(t, "ffmpeg", "ffmpeg")
	_, content := film(t, "film.mkv", "flac")
	secret, _ := film(t, "secret.ts", "mp2") // of which a playlist makes a film of its own

	poster := newRig(t, example(t, "poster"))
	made := poster.run(t, "$(id) -y.mkv", content, `{"width":"64"}`)
	picture, err := jpeg.DecodeConfig(bytes.NewReader(made.Artifacts["poster.jpg"].Content))
	if made.Err != nil || err != nil || picture.Width != 64 || picture.Height != 48 {
		t.Errorf("picture %+v, %v, %v", picture, err, made.Err)
	}
	if got := made.Artifacts["poster.jpg"].MediaType; got != "image/jpeg" {
		t.Errorf("media type %s", got)
	}
	for name, hostile := range map[string]string{
		"cut.mkv": content[:100], "text.mkv": "no film", "empty.mkv": "",
		"list.m3u8":  "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://" + secret + "\n#EXT-X-ENDLIST\n",
		"concat.txt": "ffconcat version 1.0\nfile " + secret + "\n",
	} {
		made := poster.run(t, name, hostile, "")
		if made.Code() != jobs.CodeMalformed || !jobs.IsPermanent(made.Err) || len(made.Artifacts) > 0 {
			t.Errorf("%s: %v", name, made.Err)
		}
	}

	made = newRig(t, example(t, "audio")).run(t, "a.mkv", content, "")
	if made.Err != nil || !bytes.HasPrefix(made.Artifacts["audio.flac"].Content, []byte("fLaC")) {
		t.Errorf("audio: %v", made.Err)
	}
	if n := len(made.Progress); n == 0 || made.Progress[n-1] < 0.9 {
		t.Errorf("progress %v", made.Progress)
	}
}

// page draws a line of text.
func page(t *testing.T, text string) string {
	t.Helper()
	parsed, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: 36, DPI: 72})
	if err != nil {
		t.Fatal(err)
	}
	canvas := image.NewGray(image.Rect(0, 0, 600, 100))
	draw.Draw(canvas, canvas.Bounds(), image.White, image.Point{}, draw.Src)
	pen := font.Drawer{Dst: canvas, Src: image.NewUniform(color.Black), Face: face, Dot: fixed.P(30, 60)}
	pen.DrawString(text)
	out := new(bytes.Buffer)
	if err := png.Encode(out, canvas); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTesseract(t *testing.T) {
	t.Parallel()
	needs(t, "tesseract", "tesseract-ocr")
	ocr := newRig(t, example(t, "ocr"))
	made := ocr.run(t, "a.png", page(t, "The quick brown fox 1234"), "")
	if got := strings.TrimSpace(string(made.Artifacts["text.txt"].Content)); got != "The quick brown fox 1234" {
		t.Errorf("read %q, %v", got, made.Err)
	}
	fails(t, ocr.run(t, "a.png", "no picture", ""), jobs.CodeUnsupported, true)
}

// Clamscan is run with a database of one signature, a hash, since its own is large and need not be
// there.
func TestClamscan(t *testing.T) {
	t.Parallel()
	needs(t, "clamscan", "clamav")
	const virus = "this stands for a virus"
	database := filepath.Join(t.TempDir(), "test.hdb")
	signature := fmt.Sprintf("%x:%d:Leat.Test\n", md5.Sum([]byte(virus)), len(virus))
	if err := os.WriteFile(database, []byte(signature), 0o600); err != nil {
		t.Fatal(err)
	}
	d := example(t, "virus-scan")
	d.Argv = slices.Insert(d.Argv, 1, "--database="+database)
	scan := newRig(t, d)
	made := scan.run(t, "--remove.exe", virus, "")
	fails(t, made, "infected", true)
	if made := scan.run(t, "clean.txt", "nothing", ""); made.Err != nil {
		t.Error(made.Err)
	}
	d.Argv[1] = "--database=/nonexistent"
	fails(t, newRig(t, d).run(t, "a", virus, ""), jobs.CodeHandlerError, false)
	if got := jobtest.Decode[struct{ Artifacts int }](t, scan.run(t, "a", "nothing", "")); got.Artifacts != 0 {
		t.Errorf("result %+v", got)
	}
}
