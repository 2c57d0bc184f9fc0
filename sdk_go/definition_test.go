package steplane

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
)

func nothing(context.Context, Input[any]) (any, error) { return nil, nil }

func newClient(t *testing.T) Client {
	t.Helper()
	client, err := NewClient(ClientOpts{AppID: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Every option, as the server is told it.
var definitions = map[string]struct {
	opts    FunctionOpts
	trigger Trigger
	told    string
}{
	"nothing but an id": {
		FunctionOpts{ID: "f"}, EventTrigger("a/b", nil),
		`{"triggers": [{"event": {"event": "a/b"}}]}`,
	},
	"triggers": {
		FunctionOpts{ID: "f", Name: "F"},
		Triggers(EventTrigger("a/*", StrPtr("event.data.n > 1")), CronTrigger("0 12 * * 5"), CronTriggerIn("Europe/Berlin", "0 * * * *")),
		`{"name": "F", "triggers": [
			{"event": {"event": "a/*", "expression": "event.data.n > 1"}}, {"cron": {"cron": "0 12 * * 5"}},
			{"cron": {"cron": "0 * * * *", "timeZone": "Europe/Berlin"}}]}`,
	},
	"no retries": {
		FunctionOpts{ID: "f", Retries: IntPtr(0)}, Triggers(),
		`{"retry": {"retries": 0}}`,
	},
	"a retry policy": {
		FunctionOpts{ID: "f", Retry: &Retry{
			Attempts: 4, FirstDelay: time.Second, Factor: 3, MaxDelay: 5 * time.Second, Jitter: time.Millisecond,
		}},
		Triggers(),
		`{"retry": {"retries": 3, "delays": ["1s", "3s", "5s"], "jitter": "0.001s"}}`,
	},
	"a retry policy's defaults": {
		FunctionOpts{ID: "f", Retry: &Retry{Attempts: 4, FirstDelay: 10 * time.Hour}}, Triggers(),
		`{"retry": {"retries": 3, "delays": ["36000s", "72000s", "86400s"], "jitter": "0s"}}`,
	},
	"cancel": {
		FunctionOpts{ID: "f", Cancel: []Cancel{{Event: "a/b", Match: "data.id", Timeout: time.Hour}, {Event: "a/c", If: "true"}}},
		Triggers(),
		`{"cancel": [{"event": "a/b", "match": "data.id", "timeout": "3600s"}, {"event": "a/c", "expression": "true"}]}`,
	},
	"concurrency": {
		FunctionOpts{ID: "f", Concurrency: []Concurrency{
			{Limit: 5}, {Limit: 1, Key: "event.data.id", Scope: ScopeNamespace, Hold: HoldRun},
		}},
		Triggers(),
		`{"concurrency": [{"limit": 5, "scope": "CONCURRENCY_SCOPE_FUNCTION", "hold": "CONCURRENCY_HOLD_INVOCATION"},
			{"limit": 1, "key": "event.data.id", "scope": "CONCURRENCY_SCOPE_NAMESPACE", "hold": "CONCURRENCY_HOLD_RUN"}]}`,
	},
	"one of each": {
		FunctionOpts{
			ID: "f", BatchEvents: &Batch{MaxSize: 9, Timeout: time.Second, Key: "k", If: "i"},
			Debounce: &Debounce{Period: time.Second, Key: "k", Timeout: time.Minute}, Priority: &Priority{Run: "1"},
			RateLimit: &RateLimit{Limit: 2, Period: time.Hour, Key: "k"}, Singleton: &Singleton{Key: "k", Mode: SingletonCancel},
			Throttle: &Throttle{Limit: 3, Period: time.Minute, Burst: 2, Key: "k"},
			Timeouts: &Timeouts{Start: time.Second, Finish: time.Minute}, Idempotency: "event.data.id",
		},
		Triggers(),
		`{"batch": {"maxSize": 9, "timeout": "1s", "key": "k", "expression": "i"},
			"debounce": {"period": "1s", "key": "k", "timeout": "60s"}, "priority": {"run": "1"},
			"rateLimit": {"limit": 2, "period": "3600s", "key": "k"}, "singleton": {"key": "k", "mode": "SINGLETON_MODE_CANCEL"},
			"throttle": {"limit": 3, "period": "60s", "burst": 2, "key": "k"}, "timeouts": {"start": "1s", "finish": "60s"},
			"idempotency": {"key": "event.data.id"}}`,
	},
	"defaults of these": {
		FunctionOpts{
			ID: "f", Debounce: &Debounce{Period: time.Second}, Singleton: &Singleton{}, Timeouts: &Timeouts{Finish: time.Second},
		},
		Triggers(),
		`{"debounce": {"period": "1s"}, "singleton": {"mode": "SINGLETON_MODE_SKIP"}, "timeouts": {"finish": "1s"}}`,
	},
}

func TestOptionsAreToldToTheServer(t *testing.T) {
	for name, each := range definitions {
		var expected pb.FunctionDefinition
		if err := protojson.Unmarshal([]byte(each.told), &expected); err != nil {
			t.Fatal(name, err)
		}
		expected.AppId, expected.FunctionId = "shop", "f"
		made, err := CreateFunction(newClient(t), each.opts, each.trigger, nothing)
		if err != nil {
			t.Fatal(name, err)
		}
		if found := made.self().definition; !proto.Equal(found, &expected) {
			t.Errorf("%s: it is told %s", name, protojson.Format(found))
		}
	}
}

func TestWhatCannotBeToldIsRefused(t *testing.T) {
	events := EventTrigger("a/b", nil)
	for text, each := range map[string]struct {
		opts    FunctionOpts
		trigger Trigger
	}{
		"trigger: it needs one: EventTrigger, CronTrigger, or Triggers": {FunctionOpts{}, nil},
		"Retries: it is a number of 0 or more, not -1":                  {FunctionOpts{Retries: IntPtr(-1)}, events},
		"Retry: give Retry or Retries, not both: Retry{Attempts: 3} has 2 retries": {
			FunctionOpts{Retries: IntPtr(2), Retry: &Retry{}}, events,
		},
		"Retry: Retry{Attempts: 22}: 1 to 21, the first one included": {FunctionOpts{Retry: &Retry{Attempts: 22}}, events},
		"Retry: Retry{Factor: 0.5}: 1 or more; 1 makes all waits the same, 0 stands for 2": {
			FunctionOpts{Retry: &Retry{Attempts: 2, Factor: 0.5}}, events,
		},
		"Retry: Retry{Factor: +Inf}: 1 or more; 1 makes all waits the same, 0 stands for 2": {
			FunctionOpts{Retry: &Retry{Attempts: 2, Factor: math.Inf(1)}}, events,
		},
		"Retry: Retry{FirstDelay: -1s}: it has to be from 0 to 24 hours": {
			FunctionOpts{Retry: &Retry{Attempts: 2, FirstDelay: -time.Second}}, events,
		},
		"Retry: Retry{Jitter: 25h0m0s}: it has to be from 0 to 24 hours": {
			FunctionOpts{Retry: &Retry{Attempts: 2, Jitter: 25 * time.Hour}}, events,
		},
		"Retry: Retry{MaxDelay: 1s}: it is less than FirstDelay, which is 2s": {
			FunctionOpts{Retry: &Retry{Attempts: 2, FirstDelay: 2 * time.Second, MaxDelay: time.Second}}, events,
		},
		"Concurrency.Limit: it is a number of 0 or more, not -5": {FunctionOpts{Concurrency: []Concurrency{{Limit: -5}}}, events},
		"Concurrency.Scope: 'all' is none of 'fn', 'app', 'namespace'": {
			FunctionOpts{Concurrency: []Concurrency{{Limit: 1, Scope: "all"}}}, events,
		},
		"Concurrency.Hold: 'step' is none of 'invocation', 'run'": {
			FunctionOpts{Concurrency: []Concurrency{{Limit: 1, Hold: "step"}}}, events,
		},
		"Singleton.Mode: 'wait' is none of 'skip', 'cancel'":       {FunctionOpts{Singleton: &Singleton{Mode: "wait"}}, events},
		"BatchEvents.MaxSize: it is a number of 0 or more, not -1": {FunctionOpts{BatchEvents: &Batch{MaxSize: -1}}, events},
	} {
		each.opts.ID = "f"
		_, err := CreateFunction(newClient(t), each.opts, each.trigger, nothing)
		if expected := "function 'f': " + text; err == nil || err.Error() != expected {
			t.Errorf("%s is told as %v", expected, err)
		}
	}
	if _, err := CreateFunction[any](newClient(t), FunctionOpts{ID: "f"}, events, nil); err == nil {
		t.Error("a function needs no handler")
	}
}

func TestAFunctionIsDefinedOnce(t *testing.T) {
	client := newClient(t)
	failed := func(context.Context, Input[FunctionFailed]) (any, error) { return nil, nil }
	made, err := CreateFunction(client, FunctionOpts{ID: "f", Name: "F", OnFailure: failed}, CronTrigger("* * * * *"), nothing)
	if err != nil {
		t.Fatal(err)
	}
	if made.ID() != "f" || made.Name() != "F" || made.FullyQualifiedID() != "shop/f" {
		t.Errorf("it is %s, %s, %s", made.ID(), made.Name(), made.FullyQualifiedID())
	}
	for _, id := range []string{"f", "f-on-failure"} {
		_, err := CreateFunction(client, FunctionOpts{ID: id}, CronTrigger("* * * * *"), nothing)
		if err == nil || err.Error() != "function '"+id+"' is defined twice" {
			t.Errorf("the second %s is told as %v", id, err)
		}
	}
	handler := made.self().onFailure
	expression := handler.definition.GetTriggers()[0].GetEvent().GetExpression()
	if handler.Name() != "F (failure handler)" || expression != `event.data.function_id == "shop/f"` {
		t.Errorf("the failure handler is %v", handler.definition)
	}
}

func TestAWorkerNeedsFunctionsAndSlots(t *testing.T) {
	client := newClient(t)
	for text, opts := range map[string]WorkerOpts{
		"a worker needs a function; define one with steplane.CreateFunction": {},
		"a worker needs 1 slot or more, not -1":                              {Slots: -1},
	} {
		worker := client.Worker(opts)
		worker.Stop()
		for _, err := range []error{
			worker.Run(context.Background()), worker.Serve(context.Background()), worker.Connected(context.Background()),
		} {
			if err == nil || err.Error() != text || worker.IsConnected() {
				t.Errorf("%s is told as %v", text, err)
			}
		}
	}
	if err := client.Serve(context.Background(), WorkerOpts{}, WorkerOpts{}); err == nil {
		t.Error("it takes the options of two workers")
	}
}

func TestAClientNeedsAnIDAndAnAddress(t *testing.T) {
	for text, opts := range map[string]ClientOpts{
		"a client needs an app's id; set ClientOpts.AppID":                                     {},
		"the server's address has to be host:port, for example 127.0.0.1:7100, not 'http://a'": {AppID: "shop", Address: "http://a"},
	} {
		if _, err := NewClient(opts); err == nil || err.Error() != text {
			t.Errorf("%s is told as %v", text, err)
		}
	}
	t.Setenv(addressVariable, "elsewhere:99999")
	if _, err := NewClient(ClientOpts{AppID: "shop"}); err == nil || !strings.HasSuffix(err.Error(), "not 'elsewhere:99999'") {
		t.Errorf("the environment is told as %v", err)
	}
	if _, err := NewClient(ClientOpts{AppID: "shop", Address: "here:1"}); err != nil {
		t.Error(err)
	}
}
