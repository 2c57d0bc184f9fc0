package step

import (
	"context"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/internal/codec"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/limits"
	"github.com/steplane/steplane/sdk_go/internal/replay"
	"github.com/steplane/steplane/sdk_go/internal/report"
)

// Send sends an event exactly once, and returns its id.
//
// The step is recorded and its event is stored in one transaction, whatever crashes. The event carries the trace context of this
// step.
func Send(ctx context.Context, id string, event steplane.Event) (string, error) {
	ids, err := SendMany(ctx, id, []steplane.Event{event})
	if len(ids) == 0 || err != nil {
		return "", err
	}
	return ids[0], nil
}

// SendMany sends events exactly once, all or none, and returns their ids in order: up to 5,000, of 4 MiB together. Without events
// there is no step.
func SendMany(ctx context.Context, id string, events []steplane.Event) ([]string, error) {
	entry, err := ask(ctx, id, replay.SendEvents,
		func(reports report.Maker, call *replay.Call, limits limits.Limits) (*pb.Report, error) {
			if len(events) == 0 {
				return nil, nil
			}
			messages := make([]*pb.Event, len(events))
			for index, event := range events {
				message, err := codec.EncodeEvent(codec.Event(event), index)
				if err != nil {
					return nil, err
				}
				messages[index] = message
			}
			if err := limits.CheckBatch(messages, id); err != nil {
				return nil, err
			}
			return reports.EventsSent(call, messages), nil
		})
	if err != nil {
		return nil, err
	}
	return entry.EventIDs, nil
}
