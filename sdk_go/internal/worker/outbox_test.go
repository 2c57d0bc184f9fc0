package worker

import (
	"slices"
	"testing"
	"time"

	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/run"
)

var lease = run.Lease{RunID: "r", Epoch: 1}

// opened is an outbox that holds the lease, and a stream of it that is welcome.
func opened(t *testing.T) (*outbox, *outgoing) {
	t.Helper()
	o := newOutbox(10)
	stream := o.open()
	o.welcome(stream, nil, 0, later())
	if !o.received(lease) {
		t.Fatal("the lease is not new")
	}
	return o, stream
}

func later() time.Time { return time.Now().Add(time.Hour) }

// completed is a report of a step, in a try.
func completed(stepKey string, attempt uint32) *pb.Report {
	return &pb.Report{
		RunId: lease.RunID, Epoch: lease.Epoch, StepKey: stepKey,
		Body: &pb.Report_StepCompleted{StepCompleted: &pb.StepCompleted{Attempt: attempt}},
	}
}

func ackOf(stepKey string, status pb.AckStatus) *pb.Ack {
	return &pb.Ack{RunId: lease.RunID, Epoch: lease.Epoch, StepKey: stepKey, Status: status}
}

// keys are the step keys of what is sent next.
func keys(t *testing.T, o *outbox, stream *outgoing) []string {
	t.Helper()
	next, isOpen := o.take(stream)
	if !isOpen {
		t.Fatal("the stream is closed")
	}
	var keys []string
	for _, report := range next.reports {
		keys = append(keys, report.GetStepKey())
	}
	return keys
}

func TestReportsAreKeptUntilTheirAckAndSentAgainInTheirOrder(t *testing.T) {
	o, stream := opened(t)
	for _, key := range []string{"c#0", "a#0", "b#0"} {
		o.put(lease, key, completed(key, 1))
	}
	if sent := keys(t, o, stream); !slices.Equal(sent, []string{"c#0", "a#0", "b#0"}) {
		t.Errorf("sent is %v", sent)
	}
	if !o.acked(ackOf("a#0", pb.AckStatus_ACK_STATUS_COMMITTED)) {
		t.Error("nobody sees the ack")
	}
	o.close(stream)
	again := o.open()
	if !slices.Equal(again.offered, []run.Lease{lease}) {
		t.Errorf("offered is %v", again.offered)
	}
	o.put(lease, "d#0", completed("d#0", 1)) // before the welcome: it goes with the others
	if lost := o.welcome(again, []run.Lease{lease}, 0, later()); lost != nil {
		t.Errorf("lost is %v", lost)
	}
	if sent := keys(t, o, again); !slices.Equal(sent, []string{"c#0", "b#0", "d#0"}) {
		t.Errorf("sent again is %v", sent)
	}
}

func TestALeaseThatIsNotResumedIsLostWithItsReports(t *testing.T) {
	o, stream := opened(t)
	o.put(lease, "a#0", completed("a#0", 1))
	o.close(stream)
	again := o.open()
	if lost := o.welcome(again, nil, 0, later()); !slices.Equal(lost, []run.Lease{lease}) {
		t.Errorf("lost is %v", lost)
	}
	o.put(lease, "b#0", completed("b#0", 1))
	if sent := keys(t, o, again); len(sent) != 0 || !o.isEmpty() {
		t.Errorf("sent is %v", sent)
	}
}

func TestAcksAreMetOnce(t *testing.T) {
	retrying := func(attempts uint32) *pb.JournalEntry {
		return &pb.JournalEntry{StepKey: "a#0", State: pb.StepState_STEP_STATE_RETRYING, Attempts: attempts}
	}
	for name, each := range map[string]struct {
		ack    *pb.Ack
		isSeen bool
		isHeld bool
	}{
		"of a step":            {ackOf("a#0", pb.AckStatus_ACK_STATUS_COMMITTED), true, true},
		"again of a step":      {ackOf("a#0", pb.AckStatus_ACK_STATUS_DUPLICATE), true, true},
		"of an unknown step":   {ackOf("z#0", pb.AckStatus_ACK_STATUS_COMMITTED), false, true},
		"of a refused step":    {ackOf("a#0", pb.AckStatus_ACK_STATUS_REJECTED), true, true},
		"of the outcome":       {ackOf("", pb.AckStatus_ACK_STATUS_COMMITTED), false, false},
		"of a refused outcome": {ackOf("", pb.AckStatus_ACK_STATUS_REJECTED), true, true},
		"of a stale epoch":     {ackOf("a#0", pb.AckStatus_ACK_STATUS_STALE_EPOCH), true, true},
		"of an ended run":      {ackOf("", pb.AckStatus_ACK_STATUS_RUN_ENDED), true, true},
		"of another epoch":     {&pb.Ack{RunId: "r", Epoch: 2, StepKey: "a#0", Status: pb.AckStatus_ACK_STATUS_COMMITTED}, false, true},
		"of an earlier try": {
			&pb.Ack{RunId: "r", Epoch: 1, StepKey: "a#0", Status: pb.AckStatus_ACK_STATUS_COMMITTED, Entry: retrying(1)}, false, true,
		},
		"of this try": {
			&pb.Ack{RunId: "r", Epoch: 1, StepKey: "a#0", Status: pb.AckStatus_ACK_STATUS_COMMITTED, Entry: retrying(2)}, true, true,
		},
	} {
		o, _ := opened(t)
		o.put(lease, "a#0", completed("a#0", 2))
		o.put(lease, "", completed("", 0))
		if isSeen := o.acked(each.ack); isSeen != each.isSeen || o.isEmpty() == each.isHeld {
			t.Errorf("the ack %s: seen %v, held %v", name, isSeen, !o.isEmpty())
		}
		isFinal := each.ack.GetStatus() == pb.AckStatus_ACK_STATUS_STALE_EPOCH || each.ack.GetStatus() == pb.AckStatus_ACK_STATUS_RUN_ENDED
		if !isFinal && o.acked(each.ack) {
			t.Errorf("the ack %s is met twice", name)
		}
	}
}

func TestNothingIsSentBeforeTheWelcomeNorAfterAStandstill(t *testing.T) {
	o := newOutbox(1)
	stream := o.open()
	taken := make(chan batch, 1)
	go func() {
		next, _ := o.take(stream)
		taken <- next
	}()
	o.beat(later())
	select {
	case next := <-taken:
		t.Errorf("before the welcome there is %+v", next)
	default:
	}
	o.welcome(stream, nil, 0, later())
	if next := <-taken; !next.isBeat || next.credit != 1 {
		t.Errorf("after it there is %+v", next)
	}
	o.beat(time.Now()) // whoever stood still so long has to ask again
	if next, isOpen := o.take(stream); isOpen {
		t.Errorf("after a standstill there is %+v", next)
	}
	if o.isSure(lease) {
		t.Error("it is sure")
	}
}

func TestWhatIsHandedBackIsHeldNoLonger(t *testing.T) {
	o, stream := opened(t)
	o.put(lease, "a#0", completed("a#0", 1))
	o.release([]run.Lease{lease, {RunID: "other", Epoch: 1}})
	next, _ := o.take(stream)
	if !slices.Equal(next.released, []run.Lease{lease}) || len(next.reports) != 0 || !o.isEmpty() {
		t.Errorf("there is %+v", next)
	}
}

func TestADrainIsToldOnceAStreamAndEndsAllCredit(t *testing.T) {
	o := newOutbox(3)
	stream := o.open()
	o.welcome(stream, nil, 0, later())
	o.drain(stream)
	o.drain(stream)
	if next, _ := o.take(stream); !next.isDrain || next.credit != 0 {
		t.Errorf("there is %+v", next)
	}
	o.end(stream)
	if next, isOpen := o.take(stream); isOpen {
		t.Errorf("there is %+v", next)
	}
	again := o.open()
	o.welcome(again, nil, 0, later())
	if next, _ := o.take(again); !next.isDrain || next.credit != 0 {
		t.Errorf("on the next stream there is %+v", next)
	}
}

func TestCreditIsWhatWasReceivedAndFreeSlots(t *testing.T) {
	s := slots{count: 4}
	for number, each := range []struct {
		do       func()
		expected uint64
	}{
		{func() {}, 4}, // all are free
		{func() {}, 0}, // it was granted
		{func() { s.received, s.busy = 1, 1 }, 0}, // 3 are left to send
		{func() { s.received, s.busy = 2, 2 }, 0}, // 2 as well
		{func() { s.busy = 0 }, 6},                // half of them are used up, and all are free again
		{func() { s.received, s.busy = 6, 4 }, 0}, // none is free
		{func() { s.busy = 3 }, 7},                // one is
		{func() { s.reset() }, 1},                 // a new stream counts anew; what is held has its slots
		{func() { s.received, s.busy = 9, 5 }, 0}, // more came than slots are free: it grants nothing
	} {
		each.do()
		if found := s.credit(); found != each.expected {
			t.Errorf("%d: it is %d, not %d", number, found, each.expected)
		}
	}
}

func TestReportsFillAsFewFramesAsHoldThem(t *testing.T) {
	sized := func(size int) *pb.Report {
		return &pb.Report{Body: &pb.Report_StepCompleted{StepCompleted: &pb.StepCompleted{Output: &pb.Payload{Data: make([]byte, size)}}}}
	}
	var sizes []int
	for _, frame := range reportFrames([]*pb.Report{sized(10), sized(10), sized(5000), sized(900), sized(10)}, 1000) {
		sizes = append(sizes, len(frame.GetReports().GetReports()))
	}
	if !slices.Equal(sizes, []int{2, 1, 2}) {
		t.Errorf("the frames have %v reports", sizes)
	}
	if frames := reportFrames(nil, 1000); len(frames) != 0 {
		t.Errorf("nothing fills %d frames", len(frames))
	}
}

func TestWaitsBetweenConnectionsGrowAndAreByChance(t *testing.T) {
	s := &session{}
	seen := map[time.Duration]bool{}
	for failures := range 20 {
		for range 20 {
			s.failures = failures
			delay := s.nextDelay()
			seen[delay] = true
			if longest := min(delayFirst<<failures, delayMax); delay < 0 || delay > longest {
				t.Errorf("after %d failures it is %s", failures, delay)
			}
			if s.failures != failures+1 {
				t.Error("failures are not counted")
			}
		}
	}
	if len(seen) < 300 {
		t.Errorf("there are %d different waits", len(seen))
	}
}
