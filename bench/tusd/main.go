// Command tusd serves tusd as its own program does, with its store of files and without hooks, for bench
// to measure beside it: tusd ADDRESS FOLDER. Under /tus/ it is as it comes, and syncs nothing; under
// /synced/ the bytes of a PATCH are on the disk before it is answered.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tus/tusd/v2/pkg/filestore"
	"github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	"golang.org/x/exp/slog" // the one that tusd takes
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tusd:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%d arguments, want an address and a folder", len(args))
	}
	mux := http.NewServeMux()
	for path, writer := range map[string]func(http.ResponseWriter, string) http.ResponseWriter{
		"/tus/":    func(w http.ResponseWriter, _ string) http.ResponseWriter { return w },
		"/synced/": func(w http.ResponseWriter, file string) http.ResponseWriter { return &synced{w, file} },
	} {
		composer := handler.NewStoreComposer()
		filestore.New(args[1]).UseIn(composer)
		memorylocker.New().UseIn(composer)
		tus, err := handler.NewHandler(handler.Config{
			StoreComposer: composer, BasePath: path,
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), // as silent as those that it is compared with
		})
		if err != nil {
			return err
		}
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			id := strings.TrimPrefix(r.URL.Path, path)
			if r.Method == http.MethodPatch {
				w = writer(w, filepath.Join(args[1], id))
			}
			http.StripPrefix(path, tus).ServeHTTP(w, r)
		})
	}
	server := http.Server{Addr: args[0], Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

// synced syncs a file before an answer goes out.
type synced struct {
	http.ResponseWriter
	file string
}

// Unwrap lets http.ResponseController find what it controls.
func (s *synced) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *synced) WriteHeader(status int) {
	if err := sync(s.file); err != nil {
		fmt.Fprintln(os.Stderr, "tusd: sync:", err)
		status = http.StatusInternalServerError
	}
	s.ResponseWriter.WriteHeader(status)
}

func sync(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
