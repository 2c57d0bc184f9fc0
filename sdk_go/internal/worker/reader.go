package worker

import (
	"errors"
	"io"
	"time"

	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/limits"
)

// The reader's goroutine.

func (s *stream) read(call pb.WorkService_StreamWorkClient) {
	err := s.readAll(call)
	var broken errBroken
	if err == io.EOF || errors.As(err, &broken) {
		err = nil
	}
	s.mu.Lock()
	s.isOver, s.err = true, err
	s.mu.Unlock()
	s.nudge()
}

func (s *stream) readAll(call pb.WorkService_StreamWorkClient) error {
	for {
		frame, err := call.Recv()
		if err != nil {
			return err
		}
		now := time.Now()
		s.mu.Lock()
		s.heard = now
		s.mu.Unlock()
		if err := s.checkSure(now); err != nil {
			return err
		}
		s.take(frame)
	}
}

func (s *stream) take(frame *pb.StreamWorkResponse) {
	switch kind := frame.GetFrame().(type) {
	case *pb.StreamWorkResponse_Acks:
		for _, ack := range kind.Acks.GetAcks() {
			if s.outbox.acked(ack) {
				s.executor.acked(ack)
			}
		}
		s.executor.settled()
	case *pb.StreamWorkResponse_Invocations:
		for _, invocation := range kind.Invocations.GetInvocations() {
			s.executor.invoked(invocation)
		}
	case *pb.StreamWorkResponse_Resolutions:
		for _, resolution := range kind.Resolutions.GetResolutions() {
			s.executor.resolved(resolution)
		}
	case *pb.StreamWorkResponse_JournalPart:
		s.executor.journalContinued(kind.JournalPart)
	case *pb.StreamWorkResponse_Welcome:
		s.takeWelcome(kind.Welcome)
	case *pb.StreamWorkResponse_HeartbeatAck:
		s.executor.takenAway(leasesOf(kind.HeartbeatAck.GetStop()), "the server gave it to somebody else")
	case *pb.StreamWorkResponse_Cancellations:
		for _, each := range kind.Cancellations.GetCancellations() {
			s.executor.cancelled(each)
		}
	case *pb.StreamWorkResponse_Drain:
		s.takeDrain(kind.Drain)
	case *pb.StreamWorkResponse_DrainAck:
		s.executor.drainAcked()
	default:
		// A newer server may say what this SDK does not know.
		s.logger.Debug("a frame of an unknown kind was ignored")
	}
}

func (s *stream) takeDrain(drain *pb.ServerDrain) {
	s.logger.Info("the server is going away", "reason", drain.GetReason())
	s.outbox.stopCredit(s.out)
	s.mu.Lock()
	s.isServerDraining = true
	s.mu.Unlock()
	s.nudge()
}

func (s *stream) takeWelcome(welcome *pb.Welcome) {
	told := limits.Of(welcome.GetLimits())
	s.executor.setLimits(told)
	silenceMax := welcome.GetSessionTimeout().AsDuration()
	if silenceMax <= 0 {
		silenceMax = silenceHeartbeats * intervalOf(welcome)
	}
	s.mu.Lock()
	s.silenceMax = silenceMax
	sureUntil := s.beaten.Add(silenceMax)
	s.mu.Unlock()
	lost := s.outbox.welcome(s.out, leasesOf(welcome.GetResumed()), told.FrameBytesMax, sureUntil)
	s.executor.welcomed(lost)
	s.mu.Lock()
	s.welcome = welcome
	s.mu.Unlock()
	s.nudge()
}
