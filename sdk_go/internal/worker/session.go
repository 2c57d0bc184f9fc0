package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/transport"
)

const (
	callTime   = 10 * time.Second
	delayFirst = 500 * time.Millisecond
	delayMax   = 30 * time.Second
)

// session keeps one stream to the server open, for ever: it registers, connects, and connects again.
type session struct {
	target      *transport.Target
	identity    Identity
	definitions []*pb.FunctionDefinition
	outbox      *outbox
	executor    *executor
	logger      *slog.Logger
	stopping    context.Context
	onRefused   func(error)
	failures    int
	warned      map[string]bool

	mu     sync.Mutex
	stream *stream
}

// drain asks for no more invocations.
func (s *session) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream != nil {
		s.outbox.drain(s.stream.out)
	} else {
		s.outbox.drain(nil)
	}
}

// run stays connected until it is stopping; then it sends what is there, and ends the stream.
func (s *session) run() {
	for s.stopping.Err() == nil {
		err := s.once()
		var refusal *fault.RegistrationError
		if s.stopping.Err() != nil {
			return
		}
		if errors.As(err, &refusal) {
			s.onRefused(err)
			return
		}
		delay := s.nextDelay()
		if err != nil {
			s.logger.Error(fmt.Sprintf("not connected to Steplane: %s. Trying again in %.1f s (try %d).",
				s.explain(err), delay.Seconds(), s.failures))
		}
		select {
		case <-time.After(delay):
		case <-s.stopping.Done():
		}
	}
}

// nextDelay has full jitter: a thousand workers that lost one server do not come back at one moment.
func (s *session) nextDelay() time.Duration {
	longest := min(delayFirst.Seconds()*math.Pow(2, float64(s.failures)), delayMax.Seconds())
	s.failures++
	return time.Duration(rand.Float64() * longest * float64(time.Second))
}

func (s *session) explain(err error) string {
	var broken errBroken
	if errors.As(err, &broken) {
		return broken.text
	}
	return s.target.Explain(err)
}

// once is connected for as long as that goes well, and gives why it ended.
func (s *session) once() error {
	connection, err := s.target.Open()
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if err := s.register(connection); err != nil {
		return err
	}
	stream := newStream(s.outbox, s.executor, s.logger)
	s.setStream(stream)
	defer s.executor.disconnected()
	defer s.setStream(nil)
	hello := s.identity.hello(s.functionIDs(), stream.out.offered)
	return stream.serve(pb.NewWorkServiceClient(connection), hello, s.stopping, func(welcome *pb.Welcome) {
		s.failures = 0
		s.logger.Info("connected to Steplane", "address", s.target.Address, "server", welcome.GetServer(),
			"session", welcome.GetSessionId())
	})
}

func (s *session) setStream(stream *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream = stream
}

func (s *session) functionIDs() []string {
	ids := make([]string, len(s.definitions))
	for index, definition := range s.definitions {
		ids[index] = definition.GetFunctionId()
	}
	return ids
}

func (s *session) register(connection *grpc.ClientConn) error {
	service := pb.NewFunctionServiceClient(connection)
	for _, definition := range s.definitions {
		request := &pb.RegisterFunctionRequest{Namespace: s.identity.Namespace, Definition: definition}
		ctx, cancel := context.WithTimeout(s.stopping, callTime)
		response, err := service.RegisterFunction(ctx, request)
		cancel()
		if status.Code(err) == codes.InvalidArgument {
			return &fault.RegistrationError{RequestError: transport.RequestError(err, fmt.Sprintf(
				"the server refuses function %s: %s", fault.Quote(definition.GetFunctionId()), status.Convert(err).Message()))}
		}
		if err != nil {
			return err
		}
		for _, warning := range response.GetWarnings() {
			if !s.warned[warning] {
				s.warned[warning] = true
				s.logger.Warn(warning, "function", definition.GetFunctionId())
			}
		}
	}
	return nil
}
