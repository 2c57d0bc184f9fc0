package step

import (
	"context"
	"strings"
	"time"

	"github.com/steplane/steplane/sdk_go/internal/codec"
	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/limits"
	"github.com/steplane/steplane/sdk_go/internal/replay"
	"github.com/steplane/steplane/sdk_go/internal/report"
)

// InvokeOpts say which function [Invoke] runs.
type InvokeOpts struct {
	// FunctionID is the function: "charge" of this app, "billing/charge" of another.
	FunctionID string
	// Data is the data of the event that it gets: a struct or a map that JSON can carry as an object; {} if nil.
	Data any
	// Timeout is how long it is waited for: up to 366 days, which 0 stands for. A run that takes longer goes on.
	Timeout time.Duration
}

// Invoke runs another function, in any language, and returns what it returned, as a T.
//
// It gives a [steplane.StepError] if the run fails, with that error's name, message and stack; or if the run was cancelled,
// skipped, could not be made, or took longer than the time-out, which the error's Reason tells.
func Invoke[T any](ctx context.Context, id string, opts InvokeOpts) (T, error) {
	entry, err := ask(ctx, id, replay.Invoke,
		func(reports report.Maker, call *replay.Call, limits limits.Limits) (*pb.Report, error) {
			invoke, err := opts.started(id, limits)
			if err != nil {
				return nil, err
			}
			return reports.InvokeStarted(call, invoke), nil
		})
	if err != nil {
		var none T
		return none, err
	}
	return decoded[T](entry)
}

func (o InvokeOpts) started(id string, limits limits.Limits) (*pb.InvokeStarted, error) {
	if err := checkName(id, "FunctionID", o.FunctionID); err != nil {
		return nil, err
	}
	data := o.Data
	if data == nil {
		data = struct{}{}
	}
	carried, err := payload(id, data, limits)
	if err != nil {
		return nil, err
	}
	if !codec.IsObject(carried.Data) {
		return nil, fault.NotSerializablef("the data of step %s is a %T; it has to be a struct or a map, as an event's is",
			fault.Quote(id), o.Data)
	}
	length, err := timeout(id, o.Timeout)
	if err != nil {
		return nil, err
	}
	slash := strings.LastIndexByte(o.FunctionID, '/')
	return &pb.InvokeStarted{
		AppId: o.FunctionID[:max(slash, 0)], FunctionId: o.FunctionID[slash+1:], Data: carried, Timeout: length,
	}, nil
}
