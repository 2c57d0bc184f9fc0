package step

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/steplane/steplane/sdk_go/internal/codec"
	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/limits"
	"github.com/steplane/steplane/sdk_go/internal/replay"
	"github.com/steplane/steplane/sdk_go/internal/report"
)

const (
	day = 24 * time.Hour
	// timeMax is the longest that the server takes.
	timeMax = 366 * day
)

// asking is what a step asks of the server, or nil; or an error.
type asking func(reports report.Maker, call *replay.Call, limits limits.Limits) (*pb.Report, error)

// ask does a step that the server does. The result is what is recorded of it; nothing at all if nothing was asked.
func ask(ctx context.Context, id string, kind replay.Kind, asking asking) (*replay.Entry, error) {
	scope, err := scopeOf(ctx, id)
	if err != nil {
		return nil, err
	}
	entry, err := scope.Ask(ctx, id, kind, false, asking)
	if err != nil {
		return nil, err
	}
	if entry == nil {
		entry = &replay.Entry{}
	}
	return entry, nil
}

// isNull tells whether a step came to nothing.
func isNull(entry *replay.Entry) bool {
	return len(entry.Output) == 0 || string(entry.Output) == "null"
}

// payload is what a step gives to another run.
func payload(id string, data any, limits limits.Limits) (*pb.Payload, error) {
	text, err := codec.Encode(data, "the data of step", id)
	if err == nil {
		err = limits.CheckData(text, id)
	}
	return &pb.Payload{Data: text}, err
}

// timeout is how long a step waits at the most, for the wire; 0 stands for the server's default.
func timeout(id string, length time.Duration) (*durationpb.Duration, error) {
	if length < 0 {
		return nil, fault.Argumentf("step %s: Timeout is %s; it can't be negative", fault.Quote(id), length)
	}
	if length == 0 {
		return nil, nil
	}
	if err := checkLength(id, "Timeout", length); err != nil {
		return nil, err
	}
	return durationpb.New(length), nil
}

func checkLength(id, name string, length time.Duration) error {
	if length > timeMax {
		return fault.Argumentf("step %s: %s is %s; %d days are the most", fault.Quote(id), name, length, timeMax/day)
	}
	return nil
}

func checkName(id, what, name string) error {
	if name == "" {
		return fault.Argumentf("step %s: %s is a name, not ''", fault.Quote(id), what)
	}
	return nil
}
