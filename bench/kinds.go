package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/client"
	"github.com/leat-dev/leat/integration/system"
)

// table measures how fast the kind table profiles a CSV of 1 GiB and makes Parquet of it, beside
// Miller's summary of the same file, and how much memory it takes for 2 GiB.
func (b *bench) table() {
	k := b.kinds(1)
	file := filepath.Join(b.folder("leat-table-"), "1g.csv")
	rows := b.writeCSV(file, 1<<30)
	job, _ := k.run(file, "table")
	took := k.took(job)

	began := time.Now()
	cmd := exec.CommandContext(b.Context(), "mlr", "--icsv", "--ojson", "summary", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("mlr: %v\n%s", err, out)
	}
	miller := time.Since(began).Seconds()
	b.compare("rows of a 1 GiB CSV, profiled and made Parquet", float64(rows)/took, "/s", "mlr summary", float64(rows)/miller, false, 3)
	b.compare("the same in bytes", (1<<30)/took/1e6, "MB/s", "mlr summary", (1<<30)/miller/1e6, false, 3)
	b.remove(file)

	huge := filepath.Join(filepath.Dir(file), "2g.csv")
	b.writeCSV(huge, 2<<30)
	_, peak := k.run(huge, "table")
	b.target("peak memory of table, 2 GiB", float64(peak)/(1<<20), "MiB", true, 256)
	b.remove(huge)
}

const (
	photos      = 8
	photoRounds = 8
)

// image measures how many previews of 1,024 pixels are made of photos of 12 megapixels, beside
// vipsthumbnail, which decodes them at a fraction of their size. Both have as many at once as there
// are cores, or as many threads.
func (b *bench) image() {
	k := b.kinds(2)
	dir := b.folder("leat-photos-")
	var files []string
	for i := range photos {
		file := filepath.Join(dir, fmt.Sprintf("%d.jpg", i))
		b.writePhoto(file, uint64(i))
		for range photoRounds {
			files = append(files, file)
		}
	}
	k.run(files[0], "image") // what is to be read from disk first is in memory then
	began := time.Now()
	var ids []uuid.UUID
	for _, file := range files {
		ids = append(ids, k.upload(file, "image", `{"variants":[{"name":"preview","size":1024}]}`).JobID)
	}
	for _, id := range ids {
		k.wait(id)
	}
	ours := float64(len(files)) / time.Since(began).Seconds()

	began = time.Now()
	args := append([]string{"--size", "1024", "--output", filepath.Join(dir, "%s-vips.jpg[Q=82,strip]")}, files...)
	if out, err := exec.CommandContext(b.Context(), "vipsthumbnail", args...).CombinedOutput(); err != nil {
		b.Fatalf("vipsthumbnail: %v\n%s", err, out)
	}
	theirs := float64(len(files)) / time.Since(began).Seconds()
	b.compare("previews of 12 Mpx photos, uploaded, queued, made", ours, "/s", "vipsthumbnail on files", theirs, false, 1.0/3)
}

// kindBench is an installation whose worker has all kinds.
type kindBench struct {
	*bench
	client *client.Client
	worker *system.Process
	system *system.System
}

func (b *bench) kinds(slots int) *kindBench {
	s := b.install()
	api := b.api(s)
	c, err := client.New(api.URL, client.Options{})
	if err != nil {
		b.Fatalf("client: %v", err)
	}
	worker := b.worker(s, system.With("LEAT_QUEUES", "default"), system.With("LEAT_CONCURRENCY", strconv.Itoa(slots)),
		system.With("LEAT_SCRATCH", b.folder("leat-scratch-")))
	return &kindBench{bench: b, client: c, worker: worker, system: s}
}

// folder makes a folder that is gone with the measurement.
func (b *bench) folder(pattern string) string {
	dir, err := os.MkdirTemp("", pattern)
	if err != nil {
		b.Fatalf("make a folder: %v", err)
	}
	b.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			b.Errorf("clean up: %v", err)
		}
	})
	return dir
}

func (k *kindBench) upload(path, kind, params string) wire.Upload {
	f, err := os.Open(path)
	if err != nil {
		k.Fatalf("open the file: %v", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		k.Fatalf("open the file: %v", err)
	}
	uploads, err := k.client.Upload(k.Context(), client.UploadOptions{Kind: kind, Params: json.RawMessage(params), Fresh: true},
		client.File{Name: filepath.Base(path), Content: f, Size: info.Size()})
	if err != nil {
		k.Fatalf("upload: %v", err)
	}
	return uploads[0]
}

func (k *kindBench) wait(id uuid.UUID) {
	job, err := k.client.WaitJob(k.Context(), id, client.WaitOptions{})
	if err != nil {
		k.Fatalf("wait: %v", err)
	}
	if job.State != wire.Succeeded {
		k.Fatalf("the job is %s: %v", job.State, job.Error)
	}
}

// run does one job, and returns the most memory that the process which did it had resident, in bytes,
// as far as a look every 50 ms tells.
func (k *kindBench) run(path, kind string) (job uuid.UUID, peak int64) {
	job = k.upload(path, kind, "").JobID
	ended := make(chan struct{})
	peaks := make(chan int64)
	go func() {
		most := int64(0)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				most = max(most, k.peakOfChildren())
			case <-ended:
				peaks <- most
				return
			}
		}
	}()
	k.wait(job)
	close(ended)
	return job, <-peaks
}

// peakOfChildren is the most memory that one of the worker's children has had resident, in bytes.
func (k *kindBench) peakOfChildren() int64 {
	pid := k.worker.PID()
	var most int64
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		k.Errorf("look for children: %v", err)
	}
	for _, task := range tasks {
		list, err := os.ReadFile(task)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a thread that has ended
			k.Errorf("look for children: %v", err)
		}
		for child := range strings.FieldsSeq(string(list)) {
			status, err := os.ReadFile("/proc/" + child + "/status")
			if err != nil {
				continue // it has ended
			}
			if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
				text, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
				kib, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					k.Errorf("read a child's memory: %v", err)
				}
				most = max(most, kib<<10)
			}
		}
	}
	return most
}

// took is how long the job's run was, in seconds.
func (k *kindBench) took(job uuid.UUID) float64 {
	var seconds float64
	const sql = `SELECT extract(epoch FROM finished_at - started_at)::float8 FROM attempts WHERE job_id = $1`
	if err := k.system.DB().QueryRow(k.Context(), sql, [16]byte(job)).Scan(&seconds); err != nil {
		k.Fatalf("read the times: %v", err)
	}
	return seconds
}

// writeCSV writes a table of about size bytes, with columns of every type and a quoted cell now and
// then, and returns how many rows it has.
func (b *bench) writeCSV(path string, size int) int {
	f, err := os.Create(path)
	if err != nil {
		b.Fatalf("make the table: %v", err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	random := rand.New(rand.NewPCG(1, 2)) // the same table each time
	cities := []string{"Aachen", "Basel", "Chur", "Delft", "Essen", "Freiburg", "Genf", "Hagen"}
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	written, rows := 0, 0
	line := []byte("id,at,city,amount,paid,customer,note\n")
	for written < size {
		n, err := w.Write(line)
		if err != nil {
			b.Fatalf("make the table: %v", err)
		}
		written += n
		rows++
		at = at.Add(time.Duration(random.IntN(5000)) * time.Millisecond)
		note := "delivered"
		if rows%10 == 0 {
			note = `"left ""at the door"", not signed"`
		}
		line = fmt.Appendf(line[:0], "%d,%s,%s,%d.%02d,%t,%08x,%s\n", rows, at.Format("2006-01-02 15:04:05"),
			cities[random.IntN(len(cities))], random.IntN(10000), random.IntN(100), random.IntN(2) == 0, random.Uint32(), note)
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		b.Fatalf("make the table: %v", err)
	}
	return rows - 1 // the first is the header
}

// writePhoto writes a JPEG of 4,000 by 3,000 pixels, with edges, gradients and noise.
func (b *bench) writePhoto(path string, seed uint64) {
	const width, height = 4000, 3000
	random := rand.New(rand.NewPCG(seed, 3)) // the same photos each time
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			wave := 60 * math.Sin(float64(x*(int(seed)+3))/300) * math.Cos(float64(y)/200)
			level := 120 + wave + float64((x/250+y/250)%2)*40 + random.Float64()*20
			picture.SetRGBA(x, y, color.RGBA{uint8(level), uint8(level * 0.9), uint8(255 - level), 255})
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatalf("make a photo: %v", err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		b.Fatalf("make a photo: %v", err)
	}
}
