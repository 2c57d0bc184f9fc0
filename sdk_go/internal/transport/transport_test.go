package transport

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestAddresses(t *testing.T) {
	for _, address := range []string{"a:1", "127.0.0.1:7100", "[::1]:65535", "steplane.example:443", "unix:/run/steplane"} {
		if _, err := NewTarget(address, nil); err != nil {
			t.Error(err)
		}
	}
	for _, address := range []string{"", "a", "a:", "a:b", ":1", "a:65536", "http://a:1", "a:1/b", "::1:1", "a b:1"} {
		if _, err := NewTarget(address, nil); err == nil {
			t.Errorf("%q is taken", address)
		}
	}
}

func TestWhatGRPCSaysIsExplained(t *testing.T) {
	plain, secure := &Target{Address: "a:1"}, &Target{Address: "a:1", TLS: &tls.Config{}}
	for _, each := range []struct {
		target         *Target
		code           codes.Code
		text, expected string
	}{
		{plain, codes.Unavailable, "dial tcp 127.0.0.1:1: connect: connection refused", "nothing answers at a:1. Is the server"},
		{plain, codes.Unavailable, "dial tcp: lookup nowhere: no such host", "the host name of a:1 is not known. Correct"},
		{secure, codes.Unavailable, "tls: first record does not look like a TLS handshake", "a:1 does not speak TLS, but this client does. Leave"},
		{secure, codes.Unavailable, "x509: certificate signed by unknown authority", "the certificate of a:1 can't be trusted. Give"},
		{secure, codes.Unavailable, "remote error: tls: certificate required", "a:1 asks for a client certificate. Give"},
		{plain, codes.Unavailable, `unexpected HTTP status code received from server: 404`, "a:1 answers like a web server, and not with gRPC. Is"},
		{plain, codes.Unavailable, "error reading from server: EOF", "a:1 closes the connection as soon as it is made. If"},
		{plain, codes.Unimplemented, "unknown service", "a:1 speaks gRPC, but does not know this call (unknown service). Is"},
		{plain, codes.DeadlineExceeded, "late", "a:1 does not answer in time. Is"},
		{plain, codes.PermissionDenied, "no", "a:1 refuses access (PERMISSION_DENIED: no). Check"},
		{plain, codes.Canceled, "gone", "a:1 answers CANCELLED: gone"},
		{plain, codes.Internal, "oh", "a:1 answers INTERNAL: oh"},
	} {
		if found := each.target.Explain(status.Error(each.code, each.text)); !strings.HasPrefix(found, each.expected) {
			t.Errorf("%s is explained as %s", each.text, found)
		}
	}
}

func TestCodesAreSpelledAsInTheProtocol(t *testing.T) {
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		// The library reads the protocol's names.
		var back codes.Code
		if err := back.UnmarshalJSON([]byte(`"` + codeName(code) + `"`)); err != nil || back != code {
			t.Errorf("%v is %s: %v", code, codeName(code), err)
		}
	}
}

func TestDetailsOfAnError(t *testing.T) {
	said, err := status.New(codes.InvalidArgument, "wrong").WithDetails(
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "a", Description: "b"}}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)},
	)
	if err != nil {
		t.Fatal(err)
	}
	found := RequestError(said.Err(), "refused")
	if found.Code != "INVALID_ARGUMENT" || found.Error() != "refused\n  a: b" || !errors.Is(found, said.Err()) {
		t.Errorf("it is %+v", found)
	}
	if delay, has := RetryDelay(said.Err()); !has || delay != time.Second {
		t.Errorf("the delay is %s, %v", delay, has)
	}
	if _, has := RetryDelay(errors.New("no")); has {
		t.Error("there is a delay")
	}
}
