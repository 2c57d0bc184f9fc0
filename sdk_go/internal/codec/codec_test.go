package codec

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/replay"
)

func TestValuesAreJSON(t *testing.T) {
	for expected, value := range map[string]any{
		`null`: nil, `"<é&☃>"`: "<é&☃>", `[1,2.5,true]`: []any{1, 2.5, true}, `{"A":1,"b":null}`: struct {
			A int
			B *int `json:"b"`
		}{A: 1},
	} {
		data, err := Encode(value, "the value", "v")
		if err != nil || string(data) != expected {
			t.Errorf("%v is %s, %v", value, data, err)
		}
	}
	for _, value := range []any{math.NaN(), make(chan int), func() {}, map[bool]int{true: 1}} {
		_, err := Encode(value, "the value", "v")
		var refused *fault.NotSerializableError
		if !errors.As(err, &refused) {
			t.Errorf("%T gives %v", value, err)
		}
	}
}

func TestNothingAndUnknownEncodings(t *testing.T) {
	value := 7
	if err := Decode(nil, "", &value); err != nil || value != 7 {
		t.Errorf("nothing is %d, %v", value, err)
	}
	if err := Decode([]byte("8"), "json", &value); err != nil || value != 8 {
		t.Errorf("8 is %d, %v", value, err)
	}
	if err := Decode([]byte("9"), "zstd", &value); err == nil || err.Error() != "a value is encoded as 'zstd', which this SDK does not know" {
		t.Errorf("an unknown encoding gives %v", err)
	}
}

func TestEventsForTheWire(t *testing.T) {
	moment := time.Date(2030, 1, 2, 3, 4, 5, 678_999_999, time.FixedZone("there", 3600))
	message, err := EncodeEvent(Event{ID: "e", Name: "a/b", TS: moment, Traceparent: "tp", Tracestate: "ts"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if string(message.GetData().GetData()) != "{}" || message.GetId() != "e" || message.GetTraceparent() != "tp" ||
		message.GetTracestate() != "ts" || !message.GetTs().AsTime().Equal(moment.Truncate(time.Millisecond)) {
		t.Errorf("it is %v", message)
	}
	message, err = EncodeEvent(Event{Name: "a/b", Data: struct{ A int }{1}}, 0)
	if err != nil || string(message.GetData().GetData()) != `{"A":1}` || message.GetTs() != nil {
		t.Errorf("it is %v, %v", message, err)
	}
	var none map[string]any
	for _, data := range []any{1, "text", []int{1}, (*struct{})(nil), none} {
		_, err := EncodeEvent(Event{Name: "a/b", Data: data}, 3)
		var refused *fault.NotSerializableError
		if !errors.As(err, &refused) {
			t.Errorf("%T gives %v", data, err)
		}
	}
}

func TestEntriesFromTheWire(t *testing.T) {
	found := DecodeEntry(&pb.JournalEntry{
		StepKey: "a#0", Kind: pb.StepKind_STEP_KIND_INVOKE, State: pb.StepState_STEP_STATE_FAILED, Attempts: 2,
		Output: &pb.Payload{Data: []byte("1"), Encoding: "json"}, EventIds: []string{"e"}, DueTime: timestamppb.New(time.Unix(1, 0)),
		EndTime: timestamppb.New(time.Unix(1, 2000)), Failure: &pb.Failure{Name: "N", Message: "m", Stack: "s", StepKey: "a#0", Reason: "R"},
	})
	expected := &replay.Entry{
		StepKey: "a#0", Kind: replay.Invoke, State: replay.Failed, Attempts: 2, Output: []byte("1"), Encoding: "json",
		EventIDs: []string{"e"}, IsDueLater: true, EndedAt: 1_000_002,
		Failure: &replay.Failure{Name: "N", Message: "m", Stack: "s", StepKey: "a#0", Reason: "R"},
	}
	if !reflect.DeepEqual(found, expected) {
		t.Errorf("it is %+v", found)
	}
}
