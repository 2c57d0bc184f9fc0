package run

import (
	"slices"
	"time"

	"github.com/steplane/steplane/sdk_go/internal/replay"
)

// What goroutines do with their results can depend on which came first, so it has to be the same in each replay. Therefore
// results are delivered one at a time, in the order in which the server recorded them, and the code comes to rest after each
// before the next, live and in replay alike.
//
// The code is at rest if each of its branches waits at a step, executes the body of one, or waits for its own branches. That
// is known of the function's own goroutine and those of groups, which are counted. Of goroutines that the code began by itself
// nothing is known between their steps: then, and while a branch does something else than steps, it counts as rest if for a
// little while no step was called.
const (
	// settleTime is for goroutines that are not ours to go on to their next step, or to tell others.
	settleTime = 2 * time.Millisecond
	// askTime is for a result that was recorded earlier than those at hand to be asked for, by a goroutine that nobody knows of;
	// askLongTime is the same if somebody is known who may do so.
	askTime     = 10 * time.Millisecond
	askLongTime = 100 * time.Millisecond
	// otherTime is how long a branch that does something else than steps is waited for.
	otherTime = 10 * time.Millisecond
)

// An invocation is parked once all its steps are blocked, and its code has not moved for a while.
const (
	// parkTime is for a function whose goroutines are all known to wait: one that it just began may call a step yet.
	parkTime = time.Millisecond
	// plainParkTime is for a function with goroutines that are not ours. What these do outside of steps for longer is cut
	// short, and done again in the next invocation.
	plainParkTime = 100 * time.Millisecond
	never         = time.Duration(-1)
)

// goesOn takes in a call that the server lets go on: its branch hears of it in its turn.
func (i *Invocation) goesOn(call *replay.Call) {
	if call != nil {
		place := len(i.queue)
		ended := endedAt(call)
		// Answers to reports and resolutions come each in their order, but not all tell when the step ended.
		for ended > 0 && place > 0 && endedAt(i.queue[place-1]) > ended {
			place--
		}
		i.queue = slices.Insert(i.queue, place, call)
	}
	i.advance()
}

// advance does what is to be done next, if its time has come: it is called with the lock, after each change.
func (i *Invocation) advance() {
	for !i.machine.IsOver() {
		var wait time.Duration
		var act func()
		switch {
		case i.machine.HasHeld() || len(i.queue) > 0 || i.machine.HasPostponed():
			wait, act = i.untilRest(), i.deliver
		case i.machine.IsBlocked():
			wait, act = i.untilPark(), i.park
		default:
			return
		}
		if wait == never {
			return
		}
		if wait > 0 {
			i.lookAgain(wait)
			return
		}
		act()
	}
}

// untilRest is how long the code has to stay as it is to count as at rest.
func (i *Invocation) untilRest() time.Duration {
	quiet, ask := time.Duration(0), askTime
	switch {
	case i.isMoving():
		return never
	case i.plainSeen:
		quiet, ask = settleTime, askLongTime
	case i.main.running > 0:
		quiet, ask = otherTime, askLongTime
	}
	if i.machine.IsEarlierUnasked() {
		quiet = ask
	}
	return i.left(quiet)
}

// untilPark is the same for an invocation to be parked. Branches that do something else than steps are never cut short.
func (i *Invocation) untilPark() time.Duration {
	switch {
	case i.isMoving():
		return never
	case i.plainSeen:
		return i.left(plainParkTime)
	case i.main.running > 0:
		return never
	default:
		return i.left(parkTime)
	}
}

// isMoving tells whether something is surely about to move: a group that starts its branches, or the goroutine of a step whose
// context has ended.
func (i *Invocation) isMoving() bool {
	return i.starting > 0 || i.machine.AnyLive(isLeft) || slices.ContainsFunc(i.queue, isLeft)
}

func (i *Invocation) left(quiet time.Duration) time.Duration {
	if quiet == 0 {
		return 0
	}
	return max(quiet-time.Since(i.lastMove), 0)
}

func (i *Invocation) lookAgain(wait time.Duration) {
	if i.timer == nil {
		i.timer = time.AfterFunc(wait, func() {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.advance()
		})
	} else {
		i.timer.Reset(wait)
	}
}

// deliver lets one branch go on; or, if there is no result any more, all whose bodies waited for that.
func (i *Invocation) deliver() {
	switch {
	case i.machine.HasHeld():
		i.wake(i.machine.Deliver())
	case len(i.queue) > 0:
		call := i.queue[0]
		i.queue = i.queue[1:]
		i.machine.GoOn()
		i.wake(call)
	default:
		for _, call := range i.machine.Proceed() {
			i.wake(call)
		}
	}
}

func (i *Invocation) park() {
	blockedBy := i.machine.Park()
	i.owner.Report(i.Lease, "", i.reports.RunParked(blockedBy))
	i.freeSlot()
	i.stop(ErrParked)
	i.owner.Left(i)
}

// endedAt is when the step ended, as far as that was told.
func endedAt(call *replay.Call) int64 {
	if call.Entry == nil || call.Status <= replay.StatusBlocked {
		return 0
	}
	return call.Entry.EndedAt
}
