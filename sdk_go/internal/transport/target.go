// Package transport is the way to a server: connections, TLS, and what an error of gRPC means in words that help.
package transport

import (
	"crypto/tls"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/steplane/steplane/sdk_go/internal/fault"
)

const (
	// AddressDefault is where a server of this machine listens.
	AddressDefault = "127.0.0.1:7100"

	portMax       = 65535
	keepaliveTime = 20 * time.Second
	keepaliveWait = 10 * time.Second

	// A connection that is used again and again is soon there again, too, once the server is.
	connectTime = 10 * time.Second
	delayFirst  = 100 * time.Millisecond
	delayMax    = 2 * time.Second
)

var addressPattern = regexp.MustCompile(`^(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):([0-9]{1,5})$`)

// Target is a server's address, and how to speak to it.
type Target struct {
	Address string
	TLS     *tls.Config // nil without TLS
}

// NewTarget checks an address: it gives an ArgumentError if it can't be one.
func NewTarget(address string, config *tls.Config) (*Target, error) {
	match := addressPattern.FindStringSubmatch(address)
	isOne := strings.HasPrefix(address, "unix:")
	if match != nil {
		port, err := strconv.Atoi(match[2])
		isOne = err == nil && port <= portMax
	}
	if !isOne {
		return nil, fault.Argumentf("the server's address has to be host:port, for example %s, not %s",
			AddressDefault, fault.Quote(address))
	}
	return &Target{Address: address, TLS: config}, nil
}

// Open makes a connection, which connects with its first call.
func (t *Target) Open() (*grpc.ClientConn, error) {
	way := insecure.NewCredentials()
	if t.TLS != nil {
		way = credentials.NewTLS(t.TLS.Clone())
	}
	connectParams := grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectTime}
	connectParams.Backoff.BaseDelay, connectParams.Backoff.MaxDelay = delayFirst, delayMax
	return grpc.NewClient(t.Address,
		grpc.WithTransportCredentials(way),
		// The server tells what it sends at the most.
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithConnectParams(connectParams),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveWait}),
	)
}

// RequestError is an error of gRPC with a text that says what was asked.
func RequestError(err error, message string) fault.RequestError {
	said := status.Convert(err)
	request := fault.RequestError{Message: message, Code: codeName(said.Code()), Err: err}
	for _, detail := range said.Details() {
		if request400, is := detail.(*errdetails.BadRequest); is {
			for _, each := range request400.GetFieldViolations() {
				request.Violations = append(request.Violations, fault.FieldViolation{
					Field: each.GetField(), Description: each.GetDescription(),
				})
			}
		}
	}
	return request
}

// RetryDelay is after how long a server asks to be tried again, and whether it does.
func RetryDelay(err error) (time.Duration, bool) {
	for _, detail := range status.Convert(err).Details() {
		if info, is := detail.(*errdetails.RetryInfo); is {
			return info.GetRetryDelay().AsDuration(), true
		}
	}
	return 0, false
}
