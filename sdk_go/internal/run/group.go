package run

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/steplane/steplane/sdk_go/internal/replay"
)

var errRaceLost = errors.New("another branch won the race")

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
	branches   []*branch
	isRace     bool
	isOurs     bool
	isCounted  bool // whether its goroutine counts as running
	left       int
	first      int // the branch that ended first
	done       chan struct{}
	isDone     bool
}

// Parallel runs all bodies at the same time, each in a goroutine of its own, until all have ended. It gives their errors.
func (s *Scope) Parallel(ctx context.Context, bodies []func(ctx context.Context) error) []error {
	g := s.newGroup(ctx, bodies, false)
	g.start()
	g.wait()
	errs := make([]error, len(bodies))
	for index, each := range g.branches {
		errs[index] = each.err
	}
	return errs
}

// Race runs all bodies at the same time until one has ended, and tells which. The others end where they wait at a step, or call
// one; bodies of their steps go on, with a context that has ended, and are recorded if they succeed nevertheless.
func (s *Scope) Race(ctx context.Context, bodies []func(ctx context.Context) error) (int, error) {
	g := s.newGroup(ctx, bodies, true)
	g.start()
	g.wait()
	return g.first, g.branches[g.first].err
}

func (s *Scope) newGroup(ctx context.Context, bodies []func(ctx context.Context) error, isRace bool) *group {
	g := &group{
		invocation: s.Invocation, parent: s.branch, isRace: isRace, isOurs: isOurs(), isCounted: true, left: len(bodies), first: -1,
		done: make(chan struct{}),
	}
	for index, body := range bodies {
		b := newBranch(s.Invocation, s.branch, ctx, body)
		b.atEnd = func(error) { g.ended(index) }
		g.branches = append(g.branches, b)
	}
	return g
}

func (g *group) start() {
	i := g.invocation
	i.mu.Lock()
	if g.parent.isOver() {
		i.exit()
	}
	i.starting++
	i.plainSeen = i.plainSeen || !g.isOurs
	if g.isOurs {
		g.parent.joining++
	}
	i.mu.Unlock()
	timeLeft := startTimeMax
	for _, each := range g.branches {
		i.mu.Lock()
		i.running++
		i.mu.Unlock()
		go live(each)
		if timeLeft > 0 {
			began := time.Now()
			timer := time.NewTimer(min(startTime, timeLeft))
			select {
			case <-each.begun:
			case <-timer.C:
				timeLeft -= time.Since(began)
			}
			timer.Stop()
		}
	}
}

// wait waits until the group is done; meanwhile its goroutine does not count as running.
func (g *group) wait() {
	i := g.invocation
	i.mu.Lock()
	i.starting--
	i.lastMove = time.Now()
	if g.isOurs && !g.isDone {
		g.isCounted = false
		i.running--
	}
	i.advance()
	i.mu.Unlock()
	<-g.done
	i.mu.Lock()
	if g.isOurs {
		g.parent.joining--
	}
	losers := g.loseOthers()
	i.mu.Unlock()
	for _, each := range losers {
		<-each.ended
	}
	i.mu.Lock()
	if g.parent.isOver() {
		i.exit()
	}
	i.mu.Unlock()
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
		g.invocation.running++
	}
	close(g.done)
}

// loseOthers ends all branches that have not won the race, and gives those that end soon.
func (g *group) loseOthers() []*branch {
	if !g.isRace {
		return nil
	}
	i := g.invocation
	var soon []*branch
	for index, each := range g.branches {
		if index != g.first {
			each.isLost = true
			each.cancel(errRaceLost)
			if each.executing == 0 {
				soon = append(soon, each)
			}
		}
	}
	for _, call := range i.machine.Live() {
		if w := call.Waiter.(*waiter); w.waits && w.branch.isOver() {
			i.machine.Abandon(call)
			i.wake(call)
		}
	}
	i.queue = slices.DeleteFunc(i.queue, func(call *replay.Call) bool { return call.Waiter.(*waiter).branch.isOver() })
	return soon
}
