package sending

import (
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestIDsAreUniqueAndSortByTime(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_123)
	first, second, later := newID(now), newID(now), newID(now.Add(time.Millisecond))
	if first == second || first >= later || second >= later || len(first) != 26 {
		t.Errorf("they are %s, %s, %s", first, second, later)
	}
	value := new(big.Int)
	for _, char := range first {
		value.Mul(value, big.NewInt(32)).Add(value, big.NewInt(int64(strings.IndexRune("0123456789ABCDEFGHJKMNPQRSTVWXYZ", char))))
	}
	if found := value.Rsh(value, 80).Int64(); found != now.UnixMilli() {
		t.Errorf("its time is %d", found)
	}
}

func TestASignalIsSentAgainOnlyIfItSurelyWasNotTaken(t *testing.T) {
	for _, each := range []struct {
		err            error
		events, signal bool
	}{
		{status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: dial tcp: connection refused"`), true, true},
		{status.Error(codes.Unavailable, "name resolver error: produced zero addresses"), true, true},
		{status.Error(codes.Unavailable, "error reading from server: EOF"), true, false},
		{status.Error(codes.DeadlineExceeded, "late"), true, false},
		{status.Error(codes.Canceled, "the server stops"), true, false},
		{status.Error(codes.ResourceExhausted, "too large"), false, false},
		{status.Error(codes.InvalidArgument, "wrong"), false, false},
		{errors.New("unknown"), false, false},
	} {
		_, again := pauseAfter(each.err, time.Second)
		_, signalAgain := pauseIfNotTaken(each.err, time.Second)
		if again != each.events || signalAgain != each.signal {
			t.Errorf("after %v: %v, %v", each.err, again, signalAgain)
		}
	}
}
