package replay

import (
	"fmt"
	"sort"

	"github.com/steplane/steplane/sdk_go/internal/fault"
)

// Machine is one invocation as a machine without I/O: what each step of the code means, given the journal and the server's
// answers.
//
// The machine owns: step keys, which step is done, to be executed or blocked, when the whole invocation is blocked, and
// whether the code is still being replayed. The shell around it owns: the user's code, reports, goroutines, time. It says
// what happened (Begin, Reported, Acked, Resolved, Abandon) and reads the status of the step.
//
// In a machine that is in order, what is recorded is not given as it is asked for: a result is held, and nothing is to be
// reported for it, until the shell finds the code at rest and says Deliver, which gives the one that was recorded first.
// Bodies of steps that have no result wait until no recorded one is left: what comes of those may be that they are not
// needed, as it was live.
type Machine struct {
	RunID       string
	Epoch       uint32
	Traceparent string

	state       State
	stepsMax    int
	journal     map[string]*Entry
	known       int
	used        map[string]int
	live        map[string]*Call
	begun       int
	active      int
	blocked     int
	order       *order // of the recorded results that the code does not have yet; nil if there are none
	postponed   map[string]*Call
	mayPostpone bool
}

// MachineOpts is what a machine begins with.
type MachineOpts struct {
	RunID       string
	Epoch       uint32
	Traceparent string
	Journal     []Entry
	// StepsMax is how many steps a run may have, as far as the server told.
	StepsMax int
	// InOrder tells whether the shell says Deliver; else all that is recorded is given as it is asked for.
	InOrder bool
}

// NewMachine begins with a journal.
func NewMachine(opts MachineOpts) *Machine {
	m := &Machine{
		RunID: opts.RunID, Epoch: opts.Epoch, Traceparent: opts.Traceparent, stepsMax: opts.StepsMax,
		journal: make(map[string]*Entry, len(opts.Journal)), used: map[string]int{}, live: map[string]*Call{},
		postponed: map[string]*Call{}, mayPostpone: true, state: Executing,
	}
	for index := range opts.Journal {
		m.journal[opts.Journal[index].StepKey] = &opts.Journal[index]
	}
	m.known = len(m.journal)
	if m.known > 0 {
		m.state = Replaying
		if opts.InOrder {
			m.order = newOrder(opts.Journal)
		}
	}
	return m
}

// State is where the invocation stands.
func (m *Machine) State() State { return m.state }

// IsOver tells whether the code must not go on here.
func (m *Machine) IsOver() bool { return m.state >= Parked }

// IsBlocked tells whether some called steps are blocked, and all are.
func (m *Machine) IsBlocked() bool { return m.blocked > 0 && m.active == 0 }

// Live gives the calls that the code has no result of yet, in the order of their beginning.
func (m *Machine) Live() []*Call { return sorted(m.live) }

// AnyLive tells whether something is so of any of these.
func (m *Machine) AnyLive(isSo func(call *Call) bool) bool {
	for _, call := range m.live {
		if isSo(call) {
			return true
		}
	}
	return false
}

// HasHeld tells whether results wait to be delivered.
func (m *Machine) HasHeld() bool { return m.order != nil && len(m.order.held) > 0 }

// HasPostponed tells whether bodies wait to be begun.
func (m *Machine) HasPostponed() bool { return len(m.postponed) > 0 }

// IsEarlierUnasked tells whether a recorded result would come before all that can be given to the code now, and the code has not
// asked for it yet. It is so no more once something else was given.
func (m *Machine) IsEarlierUnasked() bool { return m.order != nil && m.order.isEarlierUnasked() }

// GoOn says that the code is given a live result: recorded ones that it has not asked for are waited for no longer.
func (m *Machine) GoOn() {
	if m.order != nil {
		m.order.pass(len(m.order.ranks))
	}
}

// Begin is a call of a step by the code. It gives a NonDeterminismError if another kind is recorded, and a StepIDError for
// a bad id.
func (m *Machine) Begin(stepID string, kind Kind) (*Call, error) {
	occurrence := m.used[stepID]
	key, err := StepKey(stepID, occurrence)
	if err != nil {
		return nil, err
	}
	m.used[stepID] = occurrence + 1
	call := &Call{Key: key, Kind: kind, Status: StatusExecute, number: m.begun}
	m.begun++
	if entry := m.journal[key]; entry == nil {
		m.known++
	} else {
		delete(m.journal, key)
		if entry.Kind != kind {
			return nil, mismatch(key, entry.Kind, kind)
		}
		call.Entry, call.Attempts, call.Status = entry, entry.Attempts, statusOf(entry)
	}
	if m.order != nil {
		m.hold(call)
	}
	switch {
	case call.IsHeld:
		m.active++
		m.live[key] = call
	case call.Status == StatusExecute:
		m.active++
		m.live[key] = call
		m.state = Executing
	case call.Status == StatusBlocked:
		m.blocked++
		m.live[key] = call
	}
	m.noteProgress()
	return call, nil
}

// Reported says that the shell did the step and reports it.
//
// A sleep blocks from its report on, before the ack comes, unless the server might refuse it: so it can be parked together
// with its report. Any other step that blocks does so from its ack on: a wait may be refused, and what is invoked may have
// ended before the answer comes.
func (m *Machine) Reported(call *Call, isCertain bool) {
	if call.Kind == Sleep && isCertain && m.known <= m.stepsMax {
		m.active--
		m.blocked++
		call.Status = StatusBlocked
	} else {
		call.Status = StatusReported
	}
}

// Acked is the server's answer to a step's report. The result is the call that can go on, if one can.
//
// Without an entry, what was reported is what is recorded: a try that succeeded.
func (m *Machine) Acked(stepKey string, status AckStatus, entry *Entry, message string) *Call {
	call := m.live[stepKey]
	if call == nil {
		return nil
	}
	if status == AckRejected {
		call.Problem = message
		return m.move(call, StatusRejected)
	}
	call.Entry = entry
	if entry == nil {
		return m.move(call, StatusCompleted)
	}
	return m.move(call, statusOf(entry))
}

// Resolved says that the server lets a blocked step go on. The result is the call that can go on, if one can.
func (m *Machine) Resolved(entry *Entry) *Call {
	call := m.live[entry.StepKey]
	if call == nil || call.Status != StatusBlocked || call.IsHeld {
		return nil
	}
	call.Entry = entry
	return m.move(call, statusOf(entry))
}

// Deliver says that the code is at rest: of the results that are held, it is given the one that was recorded first.
func (m *Machine) Deliver() *Call {
	call := m.order.first()
	m.letGo(call)
	call.Status = statusOf(call.Entry)
	m.noteProgress()
	return call
}

// Proceed says that the code is at rest, and no result is left for it: the bodies that waited for that may begin.
func (m *Machine) Proceed() []*Call {
	calls := sorted(m.postponed)
	m.postponed = map[string]*Call{}
	m.mayPostpone = false // what else is recorded is not asked for, as far as anybody can tell
	m.GoOn()
	for _, call := range calls {
		call.IsHeld, call.Status = false, StatusExecute
	}
	m.state = Executing
	return calls
}

// Abandon says that the code no longer waits for the step: its branch was cancelled.
func (m *Machine) Abandon(call *Call) {
	if call.IsHeld {
		m.letGo(call)
	} else if m.live[call.Key] == call {
		delete(m.live, call.Key)
		m.count(call.Status, -1)
	}
}

// Park stops here, since every branch is blocked. The result are the keys of the steps that block.
func (m *Machine) Park() []string {
	m.state = Parked
	var keys []string
	for _, call := range m.Live() {
		keys = append(keys, call.Key)
	}
	return keys
}

// Close stops here.
func (m *Machine) Close() { m.state = Closed }

// hold holds what was just begun, if it is to wait for its turn.
func (m *Machine) hold(call *Call) {
	if m.order.hold(call.Key, call) {
		call.IsHeld, call.Status = true, StatusBlocked
	} else if call.Status == StatusExecute && call.Kind == Run && m.mayPostpone {
		m.postponed[call.Key] = call
		call.IsHeld, call.Status = true, StatusBlocked
	}
}

func (m *Machine) letGo(call *Call) {
	call.IsHeld = false
	m.active--
	delete(m.live, call.Key)
	if _, wasPostponed := m.postponed[call.Key]; wasPostponed {
		delete(m.postponed, call.Key)
	} else if m.order != nil {
		m.order.letGo(call.Key)
		if m.order.left == 0 {
			m.order = nil
		}
	}
}

func (m *Machine) noteProgress() {
	if m.state == Replaying && len(m.journal) == 0 && !m.HasHeld() && len(m.postponed) == 0 {
		m.state = Executing
	}
}

func (m *Machine) move(call *Call, status Status) *Call {
	m.count(call.Status, -1)
	call.Status = status
	if status > StatusBlocked {
		delete(m.live, call.Key)
		return call
	}
	m.count(status, 1)
	if call.Entry != nil {
		call.Attempts = call.Entry.Attempts
	}
	if status == StatusExecute {
		return call
	}
	return nil
}

func (m *Machine) count(status Status, change int) {
	if status == StatusBlocked {
		m.blocked += change
	} else {
		m.active += change
	}
}

func sorted(calls map[string]*Call) []*Call {
	list := make([]*Call, 0, len(calls))
	for _, call := range calls {
		list = append(list, call)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].number < list[j].number })
	return list
}

var spelling = map[Kind]string{
	Run: "run", Sleep: "sleep", SendEvents: "send_event", WaitForEvent: "wait_for_event", Invoke: "invoke",
	WaitForSignal: "wait_for_signal", SendSignal: "send_signal",
}

func mismatch(key string, expected, found Kind) error {
	name := fault.Quote(StepID(key))
	recorded, isKnown := spelling[expected]
	if !isKnown {
		recorded = fmt.Sprintf("<kind %d>", expected)
	}
	return fault.NonDeterminismf("the code no longer matches the journal of this run at step %s\n"+
		"  expected: step.%s(%s, ...), as it is recorded\n"+
		"  found:    step.%s(%s, ...), as the code now calls it\n"+
		"Give a step that does something else another id; runs that have begun keep what is recorded of them.",
		fault.Quote(key), recorded, name, spelling[found], name)
}
