package run

import (
	"context"
	"io"
	"log/slog"
	"testing"

	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/limits"
	"github.com/steplane/steplane/sdk_go/internal/replay"
)

// alone is an owner to whom nobody answers.
type alone struct{ emptied chan bool }

func (alone) Limits() limits.Limits            { return limits.Limits{} }
func (alone) IsSure(Lease) bool                { return true }
func (alone) Report(Lease, string, *pb.Report) {}
func (alone) FreeSlot()                        {}
func (alone) Left(*Invocation)                 {}
func (a alone) Emptied(*Invocation)            { close(a.emptied) }

//go:noinline
func atDepth(depth int, do func() bool) bool {
	if depth == 0 {
		return do()
	}
	return atDepth(depth-1, do)
}

func TestAGoroutineOfOursIsKnownHoweverDeepItIs(t *testing.T) {
	owner := alone{make(chan bool)}
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	invocation := New(context.Background(), Opts{
		Owner: owner, Machine: replay.NewMachine(replay.MachineOpts{RunID: "r", Epoch: 1}), Logger: logger,
		Handler: func(context.Context, Start) (any, error) {
			for depth := range 300 {
				if !atDepth(depth, isOurs) {
					t.Errorf("at depth %d it is not known", depth)
				}
				known := make(chan bool)
				go func() { known <- atDepth(depth, isOurs) }()
				if <-known {
					t.Errorf("another one is taken for it at depth %d", depth)
				}
			}
			return nil, nil
		},
	})
	invocation.Go()
	<-owner.emptied
}
