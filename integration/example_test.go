package integration

import (
	"strings"
	"testing"

	"github.com/leat-dev/leat/client"
)

// The program of docs/handlers.md does what that page says, and all that Leat does.
func TestExampleWithAKindOfItsOwn(t *testing.T) {
	t.Parallel()
	c, err := client.New(startUp(t, "examples/wordcount").base, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []struct{ name, content, kind, has string }{
		{"notes.txt", "to be, or not to be", "words", `{"words":6}`},
		{"a.csv", "a,b\n1,2\n", "table", `"rows":1`},
	} {
		uploads, err := c.Upload(t.Context(), client.UploadOptions{}, client.File{Name: file.name, Content: strings.NewReader(file.content), Size: int64(len(file.content))})
		if err != nil {
			t.Fatal(err)
		}
		job, err := c.WaitJob(t.Context(), uploads[0].JobID, client.WaitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if job.Kind != file.kind || job.State != "succeeded" || !strings.Contains(string(job.Result), file.has) {
			t.Errorf("%s: kind %s, %s: %s %v", file.name, job.Kind, job.State, job.Result, job.Error)
		}
	}
}
