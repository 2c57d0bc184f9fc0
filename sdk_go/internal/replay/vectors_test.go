package replay

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func readVectors(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "conformance", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func TestStepKeysAreThoseOfEverySDK(t *testing.T) {
	var vectors struct {
		Accepted []struct{ IDs, Keys []string }
		Refused  []struct{ ID, Message string }
	}
	readVectors(t, "step_keys.json", &vectors)
	for _, each := range vectors.Accepted {
		machine := NewMachine(MachineOpts{RunID: "r", Epoch: 1})
		var keys []string
		for _, id := range each.IDs {
			call, err := machine.Begin(id, Run)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, call.Key)
		}
		if !reflect.DeepEqual(keys, each.Keys) {
			t.Errorf("ids %q have keys %q, not %q", each.IDs, keys, each.Keys)
		}
	}
	for _, each := range vectors.Refused {
		_, err := StepKey(each.ID, 0)
		if err == nil || err.Error() != each.Message {
			t.Errorf("id %q is refused with\n%v, not\n%s", each.ID, err, each.Message)
		}
	}
}

func TestSpansAreThoseOfEverySDK(t *testing.T) {
	var vectors []struct {
		RunID           string `json:"run_id"`
		RunSpanID       string `json:"run_span_id"`
		StepKey         string `json:"step_key"`
		StepSpanID      string `json:"step_span_id"`
		RunTraceparent  string `json:"run_traceparent"`
		StepTraceparent string `json:"step_traceparent"`
	}
	readVectors(t, "spans.json", &vectors)
	for _, each := range vectors {
		span := StepSpanID(each.RunID, each.StepKey)
		if RunSpanID(each.RunID) != each.RunSpanID || span != each.StepSpanID {
			t.Errorf("wrong spans for %+v", each)
		}
		if found := ChildTraceparent(each.RunTraceparent, span); found != each.StepTraceparent {
			t.Errorf("%s has the child %s, not %s", each.RunTraceparent, found, each.StepTraceparent)
		}
	}
	if found := ChildTraceparent("", "d98c487f10d04a34"); found != "" {
		t.Errorf("no parent has the child %s", found)
	}
}

func TestMachineAnswersAsThatOfEverySDK(t *testing.T) {
	var histories []history
	readVectors(t, "replay.json", &histories)
	for number, each := range histories {
		newTeller(each).tell(t, number)
	}
}
