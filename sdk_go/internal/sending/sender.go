// Package sending sends events and signals from outside of runs: until the server has them, or has refused them, or the time is
// over.
//
// To try events again is safe: each has an id, so that one that was stored before its answer was lost is not stored again. A
// signal has none: it is tried again only if the server surely did not take it.
package sending

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/steplane/steplane/sdk_go/internal/codec"
	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/transport"
)

// timeDefault is how long is tried, if the context has no deadline.
const timeDefault = 30 * time.Second

// refusals are the answers that are about what was sent, and not about the way to the server.
var refusals = []codes.Code{codes.InvalidArgument, codes.NotFound, codes.ResourceExhausted}

// Sender sends the events and signals of one client. It connects when it first sends.
type Sender struct {
	target    *transport.Target
	namespace string

	mu         sync.Mutex
	connection *grpc.ClientConn
}

// New makes a sender.
func New(target *transport.Target, namespace string) *Sender {
	return &Sender{target: target, namespace: namespace}
}

// Send sends a batch, and gives the ids of its events.
func (s *Sender) Send(ctx context.Context, events []codec.Event) ([]string, error) {
	if len(events) == 0 {
		return nil, nil
	}
	request := &pb.SendEventsRequest{Namespace: s.namespace}
	for index, event := range events {
		message, err := codec.EncodeEvent(event, index)
		if err != nil {
			return nil, err
		}
		if message.Id == "" {
			message.Id = newID(time.Now())
		}
		request.Events = append(request.Events, message)
	}
	var response *pb.SendEventsResponse
	err := s.call(ctx, "the events", pauseAfter, func(ctx context.Context, service pb.EventServiceClient) (err error) {
		response, err = service.SendEvents(ctx, request)
		return err
	})
	return response.GetIds(), err
}

// SendSignal sends a signal, and gives the id of the run that got it.
func (s *Sender) SendSignal(ctx context.Context, signal string, value any) (string, error) {
	data, err := codec.Encode(value, "the data of signal", signal)
	if err != nil {
		return "", err
	}
	request := &pb.SendSignalRequest{Namespace: s.namespace, Signal: signal, Data: &pb.Payload{Data: data}}
	var response *pb.SendSignalResponse
	what := "signal " + fault.Quote(signal)
	err = s.call(ctx, what, pauseIfNotTaken, func(ctx context.Context, service pb.EventServiceClient) (err error) {
		response, err = service.SendSignal(ctx, request)
		return err
	})
	return response.GetRunId(), err
}

// Close closes the connection; the next Send opens another.
func (s *Sender) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	connection := s.connection
	s.connection = nil
	if connection == nil {
		return nil
	}
	return connection.Close()
}

func (s *Sender) call(
	ctx context.Context, what string, pause pauseFunc, once func(ctx context.Context, service pb.EventServiceClient) error,
) error {
	connection, err := s.open()
	if err != nil {
		return err
	}
	if _, hasDeadline := ctx.Deadline(); !hasDeadline {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeDefault)
		defer cancel()
	}
	service := pb.NewEventServiceClient(connection)
	err = retrying(ctx, pause, func(ctx context.Context) error { return once(ctx, service) })
	if err != nil {
		return s.refusal(ctx, err, what)
	}
	return nil
}

func (s *Sender) open() (*grpc.ClientConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connection == nil {
		connection, err := s.target.Open()
		if err != nil {
			return nil, err
		}
		s.connection = connection
	}
	return s.connection, nil
}

func (s *Sender) refusal(ctx context.Context, err error, what string) error {
	said := status.Convert(err)
	request := transport.RequestError(err, fmt.Sprintf("%s could not be sent: %s", what, s.target.Explain(err)))
	switch {
	case slices.Contains(refusals, said.Code()) && len(request.Violations) > 0:
		request.Message = "the server refused " + what
	case slices.Contains(refusals, said.Code()):
		request.Message = fmt.Sprintf("the server refused %s: %s", what, said.Message())
	case ctx.Err() != nil:
		request.Err = ctx.Err() // so that errors.Is knows it
	}
	return &fault.SendError{RequestError: request}
}
