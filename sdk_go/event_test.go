package steplane

import (
	"encoding/json"
	"testing"
	"time"
)

func TestEventsAreTheSameJSONAsInEveryLanguage(t *testing.T) {
	for text, event := range map[string]GenericEvent[map[string]int]{
		`{"id":"e","name":"a/b","data":{"n":1},"ts":1500}`: {
			ID: "e", Name: "a/b", Data: map[string]int{"n": 1}, TS: time.UnixMilli(1500).UTC(),
		},
		`{"id":"","name":"a/b","data":null,"ts":0}`: {Name: "a/b"},
	} {
		data, err := json.Marshal(event)
		if err != nil || string(data) != text {
			t.Errorf("%v is %s, %v", event, data, err)
		}
		var back GenericEvent[map[string]int]
		if err := json.Unmarshal(data, &back); err != nil || !back.TS.Equal(event.TS) || back.Data["n"] != event.Data["n"] {
			t.Errorf("%s is %v, %v", data, back, err)
		}
	}
	var wrong GenericEvent[map[string]int]
	if err := json.Unmarshal([]byte(`{"data": []}`), &wrong); err == nil {
		t.Error("a list is taken for a map")
	}
}
