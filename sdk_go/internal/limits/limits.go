// Package limits knows what is larger than the server takes: it is refused here, with what to do about it.
package limits

import (
	"google.golang.org/protobuf/proto"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
)

// frameRestBytes is what a frame holds beside one output: ids, keys, tags.
const frameRestBytes = 1024

// Limits is what the server refuses for good, as its welcome told; 0 where it did not say.
type Limits struct {
	EventBytesMax  int
	BatchEventsMax int
	BatchBytesMax  int
	RunStepsMax    int
	FrameBytesMax  int
	// OutputBytesMax is what the output of a step or of a run can have.
	OutputBytesMax int
}

// Of are the limits that a server told.
func Of(told *pb.Limits) Limits {
	limits := Limits{
		EventBytesMax:  int(told.GetEventBytesMax()),
		BatchEventsMax: int(told.GetBatchEventsMax()),
		BatchBytesMax:  int(told.GetBatchBytesMax()),
		RunStepsMax:    int(told.GetRunStepsMax()),
		FrameBytesMax:  int(told.GetFrameBytesMax()),
	}
	for _, most := range []int{int(told.GetStepOutputBytesMax()), limits.FrameBytesMax - frameRestBytes} {
		if most > 0 && (limits.OutputBytesMax == 0 || most < limits.OutputBytesMax) {
			limits.OutputBytesMax = most
		}
	}
	return limits
}

// CheckOutput checks the result of a step or a function, which what tells.
func (l Limits) CheckOutput(data []byte, what, name string) error {
	if l.OutputBytesMax > 0 && len(data) > l.OutputBytesMax {
		return fault.TooLargef("the result of %s %s has %d bytes; %d are the most. Store it elsewhere and return where",
			what, fault.Quote(name), len(data), l.OutputBytesMax)
	}
	return nil
}

// CheckBatch checks the events of a step.
func (l Limits) CheckBatch(messages []*pb.Event, stepID string) error {
	id := fault.Quote(stepID)
	if l.BatchEventsMax > 0 && len(messages) > l.BatchEventsMax {
		return fault.TooLargef("step %s sends %d events; %d are the most. Send them in several steps",
			id, len(messages), l.BatchEventsMax)
	}
	total := 0
	for index, message := range messages {
		if size := len(message.GetData().GetData()); l.EventBytesMax > 0 && size > l.EventBytesMax {
			return fault.TooLargef("step %s: the data of event %d has %d bytes; %d are the most. "+
				"Store it elsewhere and send where", id, index, size, l.EventBytesMax)
		}
		total += proto.Size(message)
	}
	if l.BatchBytesMax > 0 && total > l.BatchBytesMax {
		return fault.TooLargef("the events of step %s have %d bytes; %d are the most. Send them in several steps",
			id, total, l.BatchBytesMax)
	}
	return nil
}

// CheckData checks what a step gives to another run.
func (l Limits) CheckData(data []byte, stepID string) error {
	if l.EventBytesMax > 0 && len(data) > l.EventBytesMax {
		return fault.TooLargef("the data of step %s has %d bytes; %d are the most. Store it elsewhere and say where",
			fault.Quote(stepID), len(data), l.EventBytesMax)
	}
	return nil
}
