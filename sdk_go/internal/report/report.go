// Package report makes reports: one fact about a run each.
package report

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/replay"
)

// Maker makes the reports of one lease.
type Maker struct {
	RunID string
	Epoch uint32
}

// StepCompleted says that a try of a step returned.
func (m Maker) StepCompleted(call *replay.Call, data []byte, start time.Time) *pb.Report {
	report := m.step(call, start)
	report.Body = &pb.Report_StepCompleted{StepCompleted: &pb.StepCompleted{
		Output: &pb.Payload{Data: data}, Attempt: uint32(call.Attempts + 1),
	}}
	return report
}

// StepFailed says that a try of a step gave an error; policy is the step's own, if it has one.
func (m Maker) StepFailed(call *replay.Call, err error, policy *pb.RetryPolicy, start time.Time) *pb.Report {
	report := m.step(call, start)
	report.Body = &pb.Report_StepFailed{StepFailed: &pb.StepFailed{
		Failure: fault.Failure(err, call.Key), Attempt: uint32(call.Attempts + 1),
		Retry: fault.Directive(err, time.Now()), Policy: policy,
	}}
	return report
}

// SleepFor says that a sleep of a length begins.
func (m Maker) SleepFor(call *replay.Call, length time.Duration) *pb.Report {
	report := m.step(call, time.Now())
	report.Body = &pb.Report_SleepStarted{SleepStarted: &pb.SleepStarted{
		Until: &pb.SleepStarted_Duration{Duration: durationpb.New(length)},
	}}
	return report
}

// SleepUntil says that a sleep until a moment begins.
func (m Maker) SleepUntil(call *replay.Call, until time.Time) *pb.Report {
	report := m.step(call, time.Now())
	report.Body = &pb.Report_SleepStarted{SleepStarted: &pb.SleepStarted{
		Until: &pb.SleepStarted_DueTime{DueTime: timestamppb.New(until)},
	}}
	return report
}

// EventsSent says that a step sends events.
func (m Maker) EventsSent(call *replay.Call, events []*pb.Event) *pb.Report {
	report := m.step(call, time.Now())
	report.Body = &pb.Report_EventsSent{EventsSent: &pb.EventsSent{Events: events}}
	return report
}

// WaitStarted says that a wait for an event begins.
func (m Maker) WaitStarted(call *replay.Call, wait *pb.WaitStarted) *pb.Report {
	report := m.step(call, time.Now())
	report.Body = &pb.Report_WaitStarted{WaitStarted: wait}
	return report
}

// InvokeStarted says that another function is invoked.
func (m Maker) InvokeStarted(call *replay.Call, invoke *pb.InvokeStarted) *pb.Report {
	report := m.step(call, time.Now())
	report.Body = &pb.Report_InvokeStarted{InvokeStarted: invoke}
	return report
}

// SignalWaitStarted says that a wait for a signal begins.
func (m Maker) SignalWaitStarted(call *replay.Call, wait *pb.SignalWaitStarted) *pb.Report {
	report := m.step(call, time.Now())
	report.Body = &pb.Report_SignalWaitStarted{SignalWaitStarted: wait}
	return report
}

// SignalSent says that a step sends a signal.
func (m Maker) SignalSent(call *replay.Call, signal *pb.SignalSent) *pb.Report {
	report := m.step(call, time.Now())
	report.Body = &pb.Report_SignalSent{SignalSent: signal}
	return report
}

// RunCompleted says that the function returned.
func (m Maker) RunCompleted(data []byte, start time.Time) *pb.Report {
	report := m.run(start)
	report.Body = &pb.Report_RunCompleted{RunCompleted: &pb.RunCompleted{Output: &pb.Payload{Data: data}}}
	return report
}

// RunFailed says that the function gave an error.
func (m Maker) RunFailed(err error, start time.Time) *pb.Report {
	report := m.run(start)
	report.Body = &pb.Report_RunFailed{RunFailed: &pb.RunFailed{
		Failure: fault.Failure(err, ""), Retry: fault.Directive(err, time.Now()),
	}}
	return report
}

// RunParked says that every branch is blocked.
func (m Maker) RunParked(blockedBy []string) *pb.Report {
	report := &pb.Report{RunId: m.RunID, Epoch: m.Epoch}
	report.Body = &pb.Report_RunParked{RunParked: &pb.RunParked{BlockedBy: blockedBy}}
	return report
}

func (m Maker) run(start time.Time) *pb.Report {
	return &pb.Report{RunId: m.RunID, Epoch: m.Epoch, StartTime: timestamppb.New(start)}
}

func (m Maker) step(call *replay.Call, start time.Time) *pb.Report {
	report := m.run(start)
	report.StepKey = call.Key
	return report
}
