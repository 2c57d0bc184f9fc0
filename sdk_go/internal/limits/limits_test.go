package limits

import (
	"testing"

	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
)

func TestAnOutputHasToFitIntoAFrame(t *testing.T) {
	for _, each := range []struct {
		output, frame uint64
		expected      int
	}{{0, 0, 0}, {100, 0, 100}, {0, 5000, 3976}, {100, 5000, 100}, {4900, 5000, 3976}} {
		if found := Of(&pb.Limits{StepOutputBytesMax: each.output, FrameBytesMax: each.frame}).OutputBytesMax; found != each.expected {
			t.Errorf("of %+v it is %d", each, found)
		}
	}
}

func TestEachLimitIsAllowedAndOnePastItRefused(t *testing.T) {
	limits := Of(&pb.Limits{StepOutputBytesMax: 10, EventBytesMax: 5, BatchEventsMax: 2, BatchBytesMax: 30})
	event := func(size int) *pb.Event { return &pb.Event{Data: &pb.Payload{Data: make([]byte, size)}} }
	for name, each := range map[string]struct{ allowed, refused error }{
		"output": {limits.CheckOutput(make([]byte, 10), "step", "a"), limits.CheckOutput(make([]byte, 11), "step", "a")},
		"data":   {limits.CheckData(make([]byte, 5), "a"), limits.CheckData(make([]byte, 6), "a")},
		"event":  {limits.CheckBatch([]*pb.Event{event(5)}, "a"), limits.CheckBatch([]*pb.Event{event(6)}, "a")},
		"count": {
			limits.CheckBatch([]*pb.Event{event(1), event(1)}, "a"), limits.CheckBatch([]*pb.Event{event(1), event(1), event(1)}, "a"),
		},
		"batch": {
			limits.CheckBatch([]*pb.Event{{Name: "12345678901234567890123456"}}, "a"),
			limits.CheckBatch([]*pb.Event{{Name: "12345678901234567890123456789"}}, "a"),
		},
	} {
		if each.allowed != nil || each.refused == nil {
			t.Errorf("%s: %v, %v", name, each.allowed, each.refused)
		}
	}
	none := Limits{}
	if none.CheckOutput(make([]byte, 99), "step", "a") != nil || none.CheckData(make([]byte, 99), "a") != nil {
		t.Error("without limits something is refused")
	}
}
