package replay

import (
	"errors"
	"reflect"
	"testing"

	"github.com/steplane/steplane/sdk_go/internal/fault"
)

// history is what a shell tells a machine, and what the machine has to answer.
type history struct {
	InOrder  bool        `json:"in_order"`
	StepsMax int         `json:"steps_max"`
	Journal  []toldEntry `json:"journal"`
	Script   []saying    `json:"script"`
}

type toldEntry struct {
	StepKey    string `json:"step_key"`
	Kind       string `json:"kind"`
	State      string `json:"state"`
	Attempts   int    `json:"attempts"`
	IsDueLater bool   `json:"is_due_later"`
	EndedAt    int64  `json:"ended_at"`
}

type saying struct {
	Do        string     `json:"do"`
	ID        string     `json:"id"`
	Kind      string     `json:"kind"`
	Key       string     `json:"key"`
	Status    string     `json:"status"`
	IsCertain bool       `json:"is_certain"`
	Entry     *toldEntry `json:"entry"`
	Expect    answer     `json:"expect"`
}

type answer struct {
	Key       string   `json:"key"`
	Status    string   `json:"status"`
	Attempts  *int     `json:"attempts"`
	IsHeld    bool     `json:"is_held"`
	GoesOn    *bool    `json:"goes_on"`
	Keys      []string `json:"keys"`
	BlockedBy []string `json:"blocked_by"`
	Error     string   `json:"error"`
	Message   string   `json:"message"`
	State     string   `json:"state"`
	IsBlocked bool     `json:"is_blocked"`
	HasHeld   bool     `json:"has_held"`
}

var (
	kinds = map[string]Kind{
		"RUN": Run, "SLEEP": Sleep, "SEND_EVENTS": SendEvents, "WAIT_FOR_EVENT": WaitForEvent, "INVOKE": Invoke,
		"WAIT_FOR_SIGNAL": WaitForSignal, "SEND_SIGNAL": SendSignal,
	}
	stepStates  = map[string]StepState{"PENDING": Pending, "RETRYING": Retrying, "COMPLETED": Completed, "FAILED": Failed}
	ackStatuses = map[string]AckStatus{"COMMITTED": AckCommitted, "REJECTED": AckRejected}
	statusNames = []string{"", "EXECUTE", "REPORTED", "BLOCKED", "COMPLETED", "FAILED", "REJECTED"}
	stateNames  = []string{"REPLAYING", "EXECUTING", "PARKED", "CLOSED"}
)

func (e toldEntry) entry() Entry {
	return Entry{
		StepKey: e.StepKey, Kind: kinds[e.Kind], State: stepStates[e.State], Attempts: e.Attempts,
		IsDueLater: e.IsDueLater, EndedAt: e.EndedAt,
	}
}

// teller plays the shell.
type teller struct {
	history history
	machine *Machine
	calls   map[string]*Call
}

func newTeller(told history) *teller {
	var journal []Entry
	for _, each := range told.Journal {
		journal = append(journal, each.entry())
	}
	machine := NewMachine(MachineOpts{
		RunID: "r", Epoch: 1, Journal: journal, StepsMax: told.StepsMax, InOrder: told.InOrder,
	})
	return &teller{history: told, machine: machine, calls: map[string]*Call{}}
}

func (s *teller) tell(t *testing.T, number int) {
	t.Helper()
	for index, each := range s.history.Script {
		found := s.say(each)
		found.State = stateNames[s.machine.State()]
		found.IsBlocked, found.HasHeld = s.machine.IsBlocked(), s.machine.HasHeld()
		if !reflect.DeepEqual(found, each.Expect) {
			t.Fatalf("history %d, saying %d (%s): the machine answers\n%+v, not\n%+v", number, index, each.Do, found, each.Expect)
		}
	}
}

func (s *teller) say(each saying) answer {
	switch each.Do {
	case "begin":
		call, err := s.machine.Begin(each.ID, kinds[each.Kind])
		if err != nil {
			var changed *fault.NonDeterminismError
			if errors.As(err, &changed) {
				return answer{Error: "NonDeterminismError", Message: err.Error()}
			}
			return answer{Error: err.Error()}
		}
		s.calls[call.Key] = call
		return standing(call)
	case "reported":
		s.machine.Reported(s.calls[each.Key], each.IsCertain)
		return standing(s.calls[each.Key])
	case "acked":
		var entry *Entry
		if each.Entry != nil {
			told := each.Entry.entry()
			entry = &told
		}
		call := s.machine.Acked(each.Key, ackStatuses[each.Status], entry, "no")
		return goingOn(call, s.calls[each.Key])
	case "resolved":
		entry := each.Entry.entry()
		return goingOn(s.machine.Resolved(&entry), s.calls[entry.StepKey])
	case "abandon":
		s.machine.Abandon(s.calls[each.Key])
		return answer{}
	case "deliver":
		return standing(s.machine.Deliver())
	case "proceed":
		keys := []string{}
		for _, call := range s.machine.Proceed() {
			keys = append(keys, call.Key)
		}
		return answer{Keys: keys}
	case "park":
		return answer{BlockedBy: s.machine.Park()}
	}
	return answer{Error: "a saying that is not known: " + each.Do}
}

func standing(call *Call) answer {
	attempts := call.Attempts
	return answer{Key: call.Key, Status: statusNames[call.Status], Attempts: &attempts, IsHeld: call.IsHeld}
}

func goingOn(call, told *Call) answer {
	is, found := call != nil, standing(told)
	found.GoesOn = &is
	return found
}
