package main

import (
	"maps"
	"strconv"
	"strings"

	steplane "github.com/steplane/steplane/sdk_go"
)

// scope is what a script, or a branch, has saved.
type scope map[string]any

// scopeOf is what a script can refer to from its beginning.
func scopeOf(input steplane.Input[any]) scope {
	events := make([]any, len(input.Events))
	for index, event := range input.Events {
		events[index] = eventValue(event)
	}
	return scope{
		"event": eventValue(input.Event), "events": events, "run_id": input.RunID, "attempt": float64(input.Attempt),
		"traceparent": input.Traceparent,
	}
}

// eventValue is an event as scripts see it.
func eventValue(event steplane.Event) any {
	return map[string]any{"id": event.ID, "name": event.Name, "data": event.Data, "ts": float64(event.TS.UnixMilli())}
}

func (s scope) copied() scope { return maps.Clone(s) }

// said is a value of a script, with what its references refer to.
func (s scope) said(value any) any {
	switch value := value.(type) {
	case []any:
		list := make([]any, len(value))
		for index, each := range value {
			list[index] = s.said(each)
		}
		return list
	case map[string]any:
		if path, isReference := value["$"].(string); isReference && len(value) == 1 {
			return s.found(path)
		}
		if repeat, isRepeat := value["$repeat"].([]any); isRepeat && len(value) == 1 {
			return strings.Repeat(repeat[0].(string), int(repeat[1].(float64)))
		}
		members := make(map[string]any, len(value))
		for name, each := range value {
			members[name] = s.said(each)
		}
		return members
	}
	return value
}

func (s scope) found(path string) any {
	var value any = map[string]any(s)
	for name := range strings.SplitSeq(path, ".") {
		switch inside := value.(type) {
		case map[string]any:
			value = inside[name]
		case []any:
			index, err := strconv.Atoi(name)
			if err != nil || index < 0 || index >= len(inside) {
				return nil
			}
			value = inside[index]
		default:
			return nil
		}
	}
	return value
}
