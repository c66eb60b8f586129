package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// points are where a fault can strike.
var points = []string{
	"put.before", "put.during", "put.after", "accept.before", "accept.after", "claim.before", "claim.after", "end.before", "end.after",
}

// fault is what happens when the process comes to a point: it dies there as if by kill -9, or hangs
// there and says so in its log.
type fault struct {
	point string
	hang  bool
}

// parseFault reads "point:kill" or "point:hang".
func parseFault(text string) (fault, error) {
	point, action, _ := strings.Cut(text, ":")
	if !slices.Contains(points, point) || (action != "kill" && action != "hang") {
		return fault{}, fmt.Errorf("%q is no fault", text)
	}
	return fault{point, action == "hang"}, nil
}

func (f fault) at(point string) {
	if f.point != point {
		return
	}
	if f.hang {
		fmt.Fprintf(os.Stderr, `{"msg":"fault","point":%q}`+"\n", point)
		select {}
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing comes after it
	select {}
}

type faultyStore struct {
	store.Store
	fault fault
}

func (s *faultyStore) Accept(ctx context.Context, tenant jobs.Tenant, uploads []store.Upload) ([]store.Accepted, error) {
	s.fault.at("accept.before")
	accepted, err := s.Store.Accept(ctx, tenant, uploads)
	s.fault.at("accept.after")
	return accepted, err
}

func (s *faultyStore) Claim(ctx context.Context, req store.ClaimRequest) (store.Claimed, error) {
	s.fault.at("claim.before")
	claimed, err := s.Store.Claim(ctx, req)
	s.fault.at("claim.after")
	return claimed, err
}

func (s *faultyStore) End(ctx context.Context, end store.RunEnd) (jobs.State, error) {
	s.fault.at("end.before")
	state, err := s.Store.End(ctx, end)
	s.fault.at("end.after")
	return state, err
}

type faultyBlobs struct {
	blob.Store
	fault fault
}

func (b *faultyBlobs) Put(ctx context.Context, key blob.Key, content io.Reader) (blob.Info, error) {
	b.fault.at("put.before")
	if b.fault.point == "put.during" {
		content = &cutReader{content, b.fault}
	}
	info, err := b.Store.Put(ctx, key, content)
	b.fault.at("put.after")
	return info, err
}

// cutReader strikes after the first piece.
type cutReader struct {
	io.Reader
	fault fault
}

func (r *cutReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n == 0 || err != nil {
		r.fault.at("put.during")
	}
	return n, err
}
