package postgres

import (
	"context"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store/group"
)

// maxStatement bounds what one statement carries, in bytes, as far as a single request does not
// bring more by itself.
const maxStatement = 8 << 20

// together serves a group with as few statements as can be: requests under one key go into
// statements of their own, one after the other, and none carries much more than maxStatement.
//
// run serves its requests in one statement and returns their verdicts, in order, or an error for
// all of them. When that is for what one of them wants stored, each is served again by itself, so
// that only the culprit fails.
func together[Req, Res any](reqs []Req, key func(Req) uuid.UUID, weight func(Req) int,
	run func([]Req) ([]group.Verdict[Res], error),
) []group.Verdict[Res] {
	verdicts := make([]group.Verdict[Res], len(reqs))
	for left := indexes(len(reqs)); len(left) > 0; {
		var now []int
		now, left = portion(left, func(i int) uuid.UUID { return key(reqs[i]) }, func(i int) int { return weight(reqs[i]) })
		part := make([]Req, len(now))
		for n, i := range now {
			part[n] = reqs[i]
		}
		for n, v := range replayed(part, run) {
			verdicts[now[n]] = v
		}
	}
	return verdicts
}

func replayed[Req, Res any](reqs []Req, run func([]Req) ([]group.Verdict[Res], error)) []group.Verdict[Res] {
	verdicts, err := run(reqs)
	switch {
	case err == nil:
		return verdicts
	case len(reqs) == 1 || !isData(err):
		return group.All[Res](len(reqs), err)
	}
	verdicts = verdicts[:0]
	for i := range reqs {
		verdicts = append(verdicts, replayed(reqs[i:i+1], run)...)
	}
	return verdicts
}

// portion takes items for one statement: at least one, none with the key of another, and not many
// more bytes than maxStatement. The rest keep their order.
func portion(items []int, key func(int) uuid.UUID, weight func(int) int) (now, later []int) {
	seen := make(map[uuid.UUID]bool, len(items))
	bytes := 0
	for _, item := range items {
		k, w := key(item), weight(item)
		if seen[k] || len(now) > 0 && bytes+w > maxStatement {
			later = append(later, item)
		} else {
			now = append(now, item)
			bytes += w
		}
		seen[k] = true
	}
	return now, later
}

func indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// grouped gives the contract's form of what a group answered. What its run found is translated
// already.
func grouped(ctx context.Context, what string, err error) error {
	if err != nil && (ctx.Err() != nil || isUnavailable(err)) {
		return translate(ctx, what, err)
	}
	return err
}
