package run

import (
	"context"
	"errors"
	"time"
)

// ErrRaceLost is why the context of a branch ends that lost a race.
var ErrRaceLost = errors.New("another branch won the race")

// Branches begin in their order, each once the one before has called its first step, so that the n-th that uses a step id is
// the same in every replay. One that does something else first is waited for, but not for long.
const (
	startTime    = 20 * time.Millisecond
	startTimeMax = 100 * time.Millisecond
)

// group is several branches at once.
type group struct {
	invocation *Invocation
	parent     *branch
	branches   []*branch // that have been started
	isRace     bool
	isOurs     bool
	isCounted  bool // whether its goroutine counts as running
	left       int
	first      int       // the branch that ended first
	losers     []*branch // those of the others that only waited for steps then: they end at once
	done       chan struct{}
	isDone     bool
}

// Parallel runs all bodies at the same time, each in a goroutine of its own, until all have ended. It gives their errors.
func (s *Scope) Parallel(ctx context.Context, bodies []func(ctx context.Context) error) []error {
	if len(bodies) == 0 {
		return nil
	}
	g := s.newGroup(len(bodies), false)
	g.start(ctx, bodies)
	g.wait()
	errs := make([]error, len(bodies))
	for index, each := range g.branches {
		errs[index] = each.err
	}
	return errs
}

// Race runs all bodies at the same time until one has ended, and tells which. The contexts of the others end, and with them
// the steps at which these wait: they are waited for, unless they execute the body of a step, or other code.
func (s *Scope) Race(ctx context.Context, bodies []func(ctx context.Context) error) (int, error) {
	g := s.newGroup(len(bodies), true)
	g.start(ctx, bodies)
	g.wait()
	return g.first, g.branches[g.first].err
}

func (s *Scope) newGroup(count int, isRace bool) *group {
	return &group{
		invocation: s.invocation, parent: s.branch, isRace: isRace, isOurs: isOurs(), isCounted: true, left: count, first: -1,
		done: make(chan struct{}),
	}
}

func (g *group) start(ctx context.Context, bodies []func(ctx context.Context) error) {
	g.begin()
	timeLeft := startTimeMax
	for index, body := range bodies {
		b := newBranch(g.invocation, g.parent, ctx, body)
		b.atEnd = func(error) { g.ended(index) }
		if !g.startBranch(b) {
			return
		}
		if timeLeft > 0 {
			began := time.Now()
			timer := time.NewTimer(min(startTime, timeLeft))
			select {
			case <-b.begun:
			case <-timer.C:
				timeLeft -= time.Since(began)
			}
			timer.Stop()
		}
	}
}

func (g *group) begin() {
	i := g.invocation
	i.mu.Lock()
	defer i.mu.Unlock()
	i.exitIfOver()
	i.starting++
	i.plainSeen = i.plainSeen || !g.isOurs
	if g.isOurs {
		g.parent.joining++
	}
}

// startBranch starts a branch, unless a race is over already.
func (g *group) startBranch(b *branch) bool {
	g.invocation.mu.Lock()
	defer g.invocation.mu.Unlock()
	if g.isDone {
		return false
	}
	g.branches = append(g.branches, b)
	b.noteRunning(1)
	go live(b)
	return true
}

// wait waits until the group is done; meanwhile its goroutine does not count as running.
func (g *group) wait() {
	i := g.invocation
	i.mu.Lock()
	defer i.mu.Unlock()
	i.starting--
	i.lastMove = time.Now()
	if g.isOurs && !g.isDone {
		g.isCounted = false
		g.parent.noteRunning(-1)
	}
	i.advance()
	i.without(func() { <-g.done })
	if g.isOurs {
		g.parent.joining--
	}
	for _, each := range g.losers {
		i.without(func() { <-each.ended })
	}
	i.exitIfOver()
}

// ended is called with the lock whenever a branch has ended.
func (g *group) ended(index int) {
	g.left--
	if g.first < 0 {
		g.first = index
	}
	if g.isDone || !g.isRace && g.left > 0 {
		return
	}
	g.isDone = true
	if !g.isCounted {
		g.isCounted = true
		g.parent.noteRunning(1)
	}
	if g.isRace {
		g.endOthers()
	}
	close(g.done)
}

func (g *group) endOthers() {
	for index, each := range g.branches {
		if index != g.first && each.running == 0 && each.executing == 0 {
			g.losers = append(g.losers, each)
		}
		each.cancel(ErrRaceLost)
	}
}
