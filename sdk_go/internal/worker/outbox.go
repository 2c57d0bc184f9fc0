package worker

import (
	"runtime"
	"slices"
	"sync"
	"time"

	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/run"
)

const frameBytesDefault = 4 * 1024 * 1024

// outbox has all that is to be told to the server, and all that it has not confirmed.
//
// The law: a report stays here until its ack comes, and is sent again on every new stream; a lease stays here, and so in every
// heartbeat, from the moment it is read from the stream until its outcome is acknowledged or it is taken away.
type outbox struct {
	mu         sync.Mutex
	changed    *sync.Cond
	slots      slots
	held       map[run.Lease]map[string]kept
	made       int
	unsent     []*pb.Report
	released   []run.Lease
	isBeatDue  bool
	isDraining bool
	sureUntil  time.Time
}

// kept is a report without an ack, and its place among all.
type kept struct {
	report *pb.Report
	number int
}

// outgoing is one stream's side of the outbox.
type outgoing struct {
	offered       []run.Lease // that the hello asks to keep
	frameBytesMax int
	isWelcome     bool
	isCredited    bool
	isEnding      bool
	isClosed      bool
	isDrainDue    bool
}

func newOutbox(slotCount int) *outbox {
	o := &outbox{slots: slots{count: slotCount}, held: map[run.Lease]map[string]kept{}}
	o.changed = sync.NewCond(&o.mu)
	return o
}

// What the invocations say.

// put keeps a report, and sends it. One of a lease that was taken away meanwhile is dropped.
func (o *outbox) put(lease run.Lease, stepKey string, report *pb.Report) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if unacked := o.held[lease]; unacked != nil {
		unacked[stepKey] = kept{report, o.made}
		o.made++
		o.unsent = append(o.unsent, report)
		o.changed.Broadcast()
	}
}

// freeSlot says that an invocation needs its slot no longer.
func (o *outbox) freeSlot() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.slots.busy--
	o.changed.Broadcast()
}

// forget says that a lease was taken away.
func (o *outbox) forget(lease run.Lease) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.held, lease)
}

// release hands leases back; they are held no longer.
func (o *outbox) release(leases []run.Lease) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, lease := range leases {
		if o.held[lease] != nil {
			delete(o.held, lease)
			o.released = append(o.released, lease)
		}
	}
	o.changed.Broadcast()
}

// isEmpty tells whether nothing is held.
func (o *outbox) isEmpty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.held) == 0
}

// isSure tells whether the run was surely given to nobody else: it is held, a stream is open, and its beats are young.
func (o *outbox) isSure(lease run.Lease) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.held[lease] != nil && time.Now().Before(o.sureUntil)
}

// What the stream says.

// open begins a stream: after its hello, nothing is sent until it is welcome.
func (o *outbox) open() *outgoing {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.slots.reset()
	o.isBeatDue = false
	o.released = nil
	return &outgoing{offered: o.leases(), frameBytesMax: frameBytesDefault, isCredited: true}
}

// welcome is the server's answer to a hello. All that is not acknowledged is sent again; the result are leases that are lost.
func (o *outbox) welcome(stream *outgoing, resumed []run.Lease, frameBytesMax int, sureUntil time.Time) []run.Lease {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lost []run.Lease
	for _, lease := range stream.offered {
		if o.held[lease] != nil && !slices.Contains(resumed, lease) {
			delete(o.held, lease)
			lost = append(lost, lease)
		}
	}
	o.unsent = o.unacked()
	if frameBytesMax > 0 {
		stream.frameBytesMax = frameBytesMax
	}
	stream.isWelcome = true
	stream.isDrainDue = o.isDraining
	o.sureUntil = sureUntil
	o.changed.Broadcast()
	return lost
}

// received takes leases in, and tells which are new: an invocation may come twice. Each new one occupies a slot.
func (o *outbox) received(lease run.Lease) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.slots.received++
	if o.held[lease] != nil {
		return false
	}
	o.held[lease] = map[string]kept{}
	o.slots.busy++
	return true
}

// acked takes an ack in, and tells whether somebody has to see it: not that of an outcome that is on disk, nor one that answers
// nothing, since acks may come twice, and late.
func (o *outbox) acked(ack *pb.Ack) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	lease := run.Lease{RunID: ack.GetRunId(), Epoch: ack.GetEpoch()}
	unacked := o.held[lease]
	if unacked == nil {
		return false
	}
	switch ack.GetStatus() {
	case pb.AckStatus_ACK_STATUS_STALE_EPOCH, pb.AckStatus_ACK_STATUS_RUN_ENDED:
		return true
	}
	answered, isKept := unacked[ack.GetStepKey()]
	if !isKept || isOfEarlierTry(ack.GetEntry(), answered.report) {
		return false
	}
	delete(unacked, ack.GetStepKey())
	if ack.GetStepKey() == "" && ack.GetStatus() != pb.AckStatus_ACK_STATUS_REJECTED {
		delete(o.held, lease)
		return false
	}
	return true
}

// beat says that it is time for a heartbeat, which keeps what is held until then at least.
func (o *outbox) beat(sureUntil time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.isBeatDue = true
	o.sureUntil = sureUntil
	o.changed.Broadcast()
}

// drain asks for no more invocations, on this stream (if there is one) and all that follow.
func (o *outbox) drain(stream *outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if stream != nil && !o.isDraining {
		stream.isDrainDue = true
	}
	o.isDraining = true
	o.changed.Broadcast()
}

// stopCredit grants no more on this stream: the server is going away.
func (o *outbox) stopCredit(stream *outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	stream.isCredited = false
}

// end sends what is there, and then ends the stream from this side.
func (o *outbox) end(stream *outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	stream.isEnding = true
	o.changed.Broadcast()
}

// close says that the stream is gone.
func (o *outbox) close(stream *outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	stream.isClosed = true
	o.sureUntil = time.Time{}
	o.changed.Broadcast()
}

// take blocks for what a stream is to send next; there is nothing when it is closed, or its process stood still for so long
// that others may have what it holds.
func (o *outbox) take(stream *outgoing) (batch, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !stream.isClosed {
		if stream.isWelcome {
			if !time.Now().Before(o.sureUntil) {
				break
			}
			if next := o.next(stream); !next.isEmpty() {
				return next, true
			}
			if stream.isEnding {
				break
			}
		}
		o.changed.Wait()
		o.letOthersPut()
	}
	return batch{}, false
}

// letOthersPut lets the goroutines that are ready put their reports, too: one frame of a hundred costs the server a fraction of
// what a hundred frames do. Who is alone waits for nobody.
func (o *outbox) letOthersPut() {
	o.mu.Unlock()
	defer o.mu.Lock()
	runtime.Gosched()
}

func (o *outbox) next(stream *outgoing) batch {
	next := batch{isBeat: o.isBeatDue, released: o.released, isDrain: stream.isDrainDue}
	next.reports = slices.DeleteFunc(o.unsent, func(report *pb.Report) bool {
		return o.held[run.Lease{RunID: report.GetRunId(), Epoch: report.GetEpoch()}] == nil
	})
	if o.isBeatDue {
		next.held = o.leases()
	}
	if stream.isCredited && !stream.isEnding && !o.isDraining {
		next.credit = o.slots.credit()
	}
	o.isBeatDue, stream.isDrainDue = false, false
	o.released, o.unsent = nil, nil
	return next
}

func (o *outbox) leases() []run.Lease {
	list := make([]run.Lease, 0, len(o.held))
	for lease := range o.held {
		list = append(list, lease)
	}
	return list
}

// unacked are all reports without an ack, in the order in which they were made.
func (o *outbox) unacked() []*pb.Report {
	var all []kept
	for _, unacked := range o.held {
		for _, each := range unacked {
			all = append(all, each)
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return a.number - b.number })
	reports := make([]*pb.Report, len(all))
	for index, each := range all {
		reports[index] = each.report
	}
	return reports
}

// isOfEarlierTry tells whether an ack answers an earlier try than the one that was reported last.
func isOfEarlierTry(entry *pb.JournalEntry, report *pb.Report) bool {
	if entry.GetState() != pb.StepState_STEP_STATE_RETRYING {
		return false
	}
	attempt := max(report.GetStepCompleted().GetAttempt(), report.GetStepFailed().GetAttempt())
	return entry.GetAttempts() < attempt
}
