// Package codec turns values into bytes, and the SDK's words into protobuf: JSON for values.
package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/replay"
)

// Event is an event as it is sent: the fields are those of package steplane's.
type Event struct {
	ID          string
	Name        string
	Data        any
	TS          time.Time
	Traceparent string
	Tracestate  string
}

// Encode gives a value as JSON, or a NotSerializableError, which says what of which name it is.
func Encode(value any, what, name string) ([]byte, error) {
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fault.NotSerializablef("%s %s is not JSON: %v. Use structs with exported fields, maps with string keys, "+
			"slices, strings, numbers and booleans", what, fault.Quote(name), err)
	}
	return bytes.TrimSuffix(data.Bytes(), []byte("\n")), nil
}

// Decode reads some JSON; of nothing at all nothing is read.
func Decode(data []byte, encoding string, into any) error {
	if encoding != "" && encoding != "json" {
		return fmt.Errorf("a value is encoded as %s, which this SDK does not know", fault.Quote(encoding))
	}
	if len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, into)
}

// EncodeEvent gives an event for the wire, or a NotSerializableError.
func EncodeEvent(event Event, index int) (*pb.Event, error) {
	data := []byte("{}")
	if event.Data != nil {
		var err error
		if data, err = Encode(event.Data, fmt.Sprintf("the data of event %d,", index), event.Name); err != nil {
			return nil, err
		}
	}
	if !IsObject(data) {
		return nil, fault.NotSerializablef("the data of event %d (%s) is a %T; it has to be a struct or a map",
			index, fault.Quote(event.Name), event.Data)
	}
	message := &pb.Event{
		Id: event.ID, Name: event.Name, Data: &pb.Payload{Data: data},
		Traceparent: event.Traceparent, Tracestate: event.Tracestate,
	}
	if !event.TS.IsZero() {
		message.Ts = timestamppb.New(event.TS.Truncate(time.Millisecond))
	}
	return message, nil
}

// IsObject tells whether some JSON is an object.
func IsObject(data []byte) bool {
	return len(data) > 0 && data[0] == '{'
}

// DecodeEntry gives a recorded step from the wire.
func DecodeEntry(message *pb.JournalEntry) *replay.Entry {
	entry := &replay.Entry{
		StepKey:    message.GetStepKey(),
		Kind:       replay.Kind(message.GetKind()),
		State:      replay.StepState(message.GetState()),
		Output:     message.GetOutput().GetData(),
		Encoding:   message.GetOutput().GetEncoding(),
		Attempts:   int(message.GetAttempts()),
		IsDueLater: message.GetDueTime() != nil,
		EventIDs:   message.GetEventIds(),
	}
	if end := message.GetEndTime(); end != nil {
		entry.EndedAt = end.GetSeconds()*1_000_000 + int64(end.GetNanos())/1000
	}
	if failure := message.GetFailure(); failure != nil {
		entry.Failure = &replay.Failure{
			Name: failure.GetName(), Message: failure.GetMessage(), Stack: failure.GetStack(),
			StepKey: failure.GetStepKey(), Reason: failure.GetReason(),
		}
	}
	return entry
}
