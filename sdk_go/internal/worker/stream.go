package worker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
)

const (
	welcomeTime       = 15 * time.Second
	endTime           = 2 * time.Second
	drainedCheckTime  = 100 * time.Millisecond
	heartbeatDefault  = 5 * time.Second
	silenceHeartbeats = 6
)

// errBroken says that a stream ended, and not by an error of gRPC.
type errBroken struct{ text string }

func (e errBroken) Error() string { return e.text }

func brokenf(format string, arguments ...any) error {
	return errBroken{fmt.Sprintf(format, arguments...)}
}

// stream is one stream to the server: one goroutine keeps its time, one reads, and one writes what the outbox has.
type stream struct {
	outbox   *outbox
	executor *executor
	logger   *slog.Logger
	out      *outgoing
	nudged   chan struct{}

	mu               sync.Mutex
	heard, beaten    time.Time
	silenceMax       time.Duration // 0 until the server has told
	welcome          *pb.Welcome
	isServerDraining bool
	isOver           bool
	err              error
}

func newStream(outbox *outbox, executor *executor, logger *slog.Logger) *stream {
	now := time.Now()
	return &stream{
		outbox: outbox, executor: executor, logger: logger, out: outbox.open(),
		nudged: make(chan struct{}, 1), heard: now, beaten: now,
	}
}

// nudge has the time keeper look again what there is to do.
func (s *stream) nudge() {
	select {
	case s.nudged <- struct{}{}:
	default:
	}
}

// serve serves the stream until it ends, or stopping does, and gives what it ended with.
func (s *stream) serve(
	service pb.WorkServiceClient, hello *pb.StreamWorkRequest, stopping context.Context, onWelcome func(*pb.Welcome),
) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stopWaiting := context.AfterFunc(stopping, cancel) // it connects, which may take its time
	call, err := service.StreamWork(ctx)
	stopWaiting()
	if err != nil {
		return err
	}
	var ended sync.WaitGroup
	ended.Add(2)
	go func() {
		defer ended.Done()
		s.write(call, hello)
	}()
	go func() {
		defer ended.Done()
		s.read(call)
	}()
	defer func() {
		s.outbox.close(s.out)
		cancel()
		ended.Wait()
	}()
	if err := s.waitWelcome(stopping); err != nil {
		return err
	}
	if welcome := s.snapshot().welcome; welcome != nil {
		onWelcome(welcome)
		if err := s.keepTime(welcome, stopping); err != nil {
			return err
		}
	}
	return s.reason(stopping)
}

// reason is why the stream ended; nil if it was meant to.
func (s *stream) reason(stopping context.Context) error {
	now := s.snapshot()
	switch {
	case now.err != nil && now.welcome != nil && status.Code(now.err) == codes.Unavailable:
		return brokenf("the connection was lost (%s)", status.Convert(now.err).Message())
	case now.err != nil:
		return now.err
	case stopping.Err() != nil || now.isServerDraining:
		return nil
	default:
		return brokenf("the server ended the stream")
	}
}

func (s *stream) waitWelcome(stopping context.Context) error {
	deadline := time.Now().Add(welcomeTime)
	for {
		now := s.snapshot()
		if now.welcome != nil || now.isOver || stopping.Err() != nil {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return brokenf("the server takes the connection, but does not answer the hello")
		}
		s.sleep(left, stopping)
	}
}

// keepTime beats as the server asked for, and notices when it falls silent.
func (s *stream) keepTime(welcome *pb.Welcome, stopping context.Context) error {
	interval := intervalOf(welcome)
	nextBeat := time.Now().Add(interval)
	var endBy time.Time
	for {
		state, now := s.snapshot(), time.Now()
		if err := s.checkSure(now); err != nil || state.isOver {
			return err
		}
		if !now.Before(nextBeat) {
			s.beat(now)
			nextBeat = now.Add(interval)
		}
		if now.Sub(state.heard) > state.silenceMax {
			return brokenf("the server was silent for %s, so the connection is taken for dead", state.silenceMax)
		}
		isLeaving := stopping.Err() != nil || state.isServerDraining && s.outbox.isEmpty()
		if endBy.IsZero() && isLeaving {
			s.outbox.end(s.out)
			endBy = now.Add(endTime)
		}
		if !endBy.IsZero() && now.After(endBy) {
			return nil
		}
		wait := min(nextBeat.Sub(now), state.heard.Add(state.silenceMax).Sub(now)+time.Millisecond)
		if state.isServerDraining || !endBy.IsZero() {
			wait = min(wait, drainedCheckTime)
			s.sleep(wait, context.Background())
		} else {
			s.sleep(wait, stopping)
		}
	}
}

func (s *stream) beat(now time.Time) {
	s.mu.Lock()
	s.beaten = now
	sureUntil := now.Add(s.silenceMax)
	s.mu.Unlock()
	s.outbox.beat(sureUntil)
}

// checkSure: a process that was frozen must not act on what it was sent, as others may have done all of it by now.
func (s *stream) checkSure(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stood := now.Sub(s.beaten); s.silenceMax > 0 && stood > s.silenceMax {
		return brokenf("this process stood still for %s, so its runs may have been given to others",
			stood.Round(100*time.Millisecond))
	}
	return nil
}

func (s *stream) sleep(wait time.Duration, stopping context.Context) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.nudged:
	case <-stopping.Done():
	}
}

// moment is what several goroutines tell each other.
type moment struct {
	heard            time.Time
	silenceMax       time.Duration
	welcome          *pb.Welcome
	isServerDraining bool
	isOver           bool
	err              error
}

func (s *stream) snapshot() moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return moment{s.heard, s.silenceMax, s.welcome, s.isServerDraining, s.isOver, s.err}
}

// The writer's goroutine.

func (s *stream) write(call pb.WorkService_StreamWorkClient, hello *pb.StreamWorkRequest) {
	if call.Send(hello) != nil {
		return // the reader hears why
	}
	for {
		next, isOpen := s.outbox.take(s.out)
		if !isOpen {
			_ = call.CloseSend()
			return
		}
		for _, frame := range next.frames(s.out.frameBytesMax) {
			if call.Send(frame) != nil {
				return
			}
		}
	}
}

func intervalOf(welcome *pb.Welcome) time.Duration {
	if interval := welcome.GetHeartbeatInterval().AsDuration(); interval > 0 {
		return interval
	}
	return heartbeatDefault
}
