package document

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	pdfium "github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// maxInstances bounds how many PDFs a handler reads at once.
const maxInstances = 2

// engine starts PDFium, anew for each run: an instance is bound to its run's context, which ends
// it wherever it is, and shares no memory with any other. What it shares with the others is the
// compiled code. Its methods are safe for concurrent use.
type engine struct {
	dir     string
	slots   chan struct{} // held by instances
	loading chan struct{} // held while cache is made and code loaded, so that it is compiled once
	cache   wazero.CompilationCache
}

func newEngine(dir string) *engine {
	return &engine{dir: dir, slots: make(chan struct{}, maxInstances), loading: make(chan struct{}, 1)}
}

// instance is a PDFium of one run.
type instance struct {
	pdfium.Pdfium
	pool   pdfium.Pool
	memory *memory
	engine *engine
}

// start gives an instance that may use so much memory, in bytes, and that ends with ctx.
func (e *engine) start(ctx context.Context, limit uint64) (*instance, error) {
	if err := acquire(ctx, e.slots); err != nil {
		return nil, err
	}
	i := &instance{memory: &memory{limit: limit}, engine: e}
	if err := i.start(ctx); err != nil {
		return nil, errors.Join(err, i.close())
	}
	return i, nil
}

func (i *instance) start(ctx context.Context) (err error) {
	if i.pool, err = i.engine.load(experimental.WithMemoryAllocator(ctx, i.memory)); err != nil {
		return fmt.Errorf("load PDFium: %w", err)
	}
	if i.Pdfium, err = i.pool.GetInstanceWithContext(ctx); err != nil {
		return fmt.Errorf("start PDFium: %w", err)
	}
	return nil
}

// close ends the instance. What becomes of its documents does not count: its memory goes away.
func (i *instance) close() error {
	defer func() { <-i.engine.slots }()
	if i.pool == nil {
		return nil
	}
	return i.pool.Close()
}

// load makes a runtime for one instance. All that the instance can reach is what is named here.
func (e *engine) load(ctx context.Context) (pdfium.Pool, error) {
	if err := acquire(ctx, e.loading); err != nil {
		return nil, err
	}
	defer func() { <-e.loading }()
	if err := e.openCache(); err != nil {
		return nil, err
	}
	return webassembly.Init(webassembly.Config{
		Context:  ctx,
		MaxTotal: 1,
		FSConfig: wazero.NewFSConfig(), // no files; the default is all of them
		Stdout:   io.Discard,
		Stderr:   io.Discard,
		RuntimeConfig: wazero.NewRuntimeConfig().
			WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling).
			WithCompilationCache(e.cache).
			WithCloseOnContextDone(true),
	})
}

func (e *engine) openCache() error {
	switch {
	case e.cache != nil:
	case e.dir == "":
		e.cache = wazero.NewCompilationCache()
	default:
		cache, err := wazero.NewCompilationCacheWithDir(e.dir)
		if err != nil {
			return err
		}
		e.cache = cache
	}
	return nil
}

func acquire(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// memory is what one instance works in. It implements experimental.MemoryAllocator and
// experimental.LinearMemory.
type memory struct {
	limit   uint64 // bytes
	refused bool   // more was asked for
	bytes   []byte
}

// Allocate implements experimental.MemoryAllocator.
func (m *memory) Allocate(uint64, uint64) experimental.LinearMemory { return m }

// Reallocate implements experimental.LinearMemory.
func (m *memory) Reallocate(size uint64) []byte {
	if size > min(m.limit, math.MaxInt) {
		m.refused = true
		return nil
	}
	if size > uint64(cap(m.bytes)) {
		grown := make([]byte, size, min(m.limit, max(size, uint64(cap(m.bytes))*5/4)))
		copy(grown, m.bytes)
		m.bytes = grown
	}
	m.bytes = m.bytes[:size]
	return m.bytes
}

// Free implements experimental.LinearMemory.
func (m *memory) Free() { m.bytes = nil }
