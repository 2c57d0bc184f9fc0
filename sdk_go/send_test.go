package steplane_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/step"
)

func TestEventsHaveIDsInOrderAndTheSameIDMakesNoSecondEvent(t *testing.T) {
	client := sharedHouse(t).app(t)
	events := []steplane.Event{
		{Name: "send/a"}, {Name: "send/b", ID: "own-" + client.AppID()}, {Name: "send/c", TS: time.Unix(1, 0), Data: number{1}},
	}
	ids, err := client.SendMany(soon(t), events)
	if err != nil || len(ids) != 3 || len(ids[0]) != 26 || ids[1] != events[1].ID || ids[0] == ids[2] {
		t.Errorf("the ids are %v, %v", ids, err)
	}
	again, err := client.Send(soon(t), events[1])
	if err != nil || again != events[1].ID {
		t.Errorf("again it is %s, %v", again, err)
	}
	none, err := client.SendMany(soon(t), nil)
	if err != nil || len(none) != 0 {
		t.Errorf("no events are %v, %v", none, err)
	}
}

func TestWhatTheServerRefusesIsToldFieldByField(t *testing.T) {
	client := sharedHouse(t).app(t)
	_, err := client.SendMany(soon(t), []steplane.Event{{Name: "send/fine"}, {Name: ""}})
	var refused *steplane.SendError
	if !errors.As(err, &refused) || refused.Code != "INVALID_ARGUMENT" || len(refused.Violations) != 1 ||
		refused.Violations[0].Field != "events[1].name" || !strings.HasPrefix(err.Error(), "the server refused the events\n  events[1].name: ") {
		t.Errorf("it gives %v", err)
	}
}

func TestASignalNeedsSomebodyWhoWaits(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	signal := "signal-" + client.AppID()
	create(t, client, "waits", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		return step.WaitForSignal[number](ctx, "wait", step.WaitForSignalOpts{Signal: signal})
	})
	work(t, client, steplane.WorkerOpts{})
	_, err := client.SendSignal(soon(t), signal, nil)
	var refused *steplane.SendError
	if !errors.As(err, &refused) || refused.Code != "NOT_FOUND" ||
		!strings.HasPrefix(err.Error(), "the server refused signal '"+signal+"': ") {
		t.Errorf("it gives %v", err)
	}
	id := send(t, client, "waits", nil)
	runID := house.parked(t, id).GetId()
	receiver, err := client.SendSignal(soon(t), signal, number{3})
	if err != nil || receiver != runID {
		t.Errorf("%s got it, %v", receiver, err)
	}
	is(t, number{3}, house.completed(t, id))
}

func TestWithoutAServerSendingIsTriedUntilTheDeadline(t *testing.T) {
	client, err := steplane.NewClient(steplane.ClientOpts{AppID: "lonely", Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = client.Send(ctx, steplane.Event{Name: "send/a"})
	var refused *steplane.SendError
	expected := "the events could not be sent: nothing answers at 127.0.0.1:1. Is the server running, and is the address right? " +
		"It is set by ClientOpts.Address or STEPLANE_ADDRESS"
	if !errors.As(err, &refused) || refused.Code != "UNAVAILABLE" || err.Error() != expected {
		t.Errorf("it gives %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := client.Send(cancelled, steplane.Event{Name: "send/a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, it gives %v", err)
	}
}

func TestSendingGoesOnOnceTheServerIsThere(t *testing.T) {
	house := openHouse(t)
	client := house.app(t)
	if _, err := client.Send(soon(t), steplane.Event{Name: "send/a"}); err != nil {
		t.Fatal(err)
	}
	house.stop(syscall.SIGKILL)
	sent := make(chan error, 1)
	go func() {
		_, err := client.Send(soon(t), steplane.Event{Name: "send/b"})
		sent <- err
	}()
	house.start(t)
	if err := receive(t, "the event", sent); err != nil {
		t.Error(err)
	}
}
