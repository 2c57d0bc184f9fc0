package steplane_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/step"
)

// ready is what a worker logs once it is connected.
const ready = `msg="connected to Steplane"`

// startSteps sends the event that starts a stepper's function: its id.
func startSteps(t *testing.T, house *house) string {
	t.Helper()
	id, err := house.app(t).Send(soon(t), steplane.Event{Name: "stepper/steps"})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// stands checks where a run that has ended stands.
func stands(t *testing.T, run *pb.Run, state pb.RunState, epoch, attempt uint32) {
	t.Helper()
	if run.GetState() != state || run.GetEpoch() != epoch || run.GetAttempt() != attempt {
		t.Errorf("it is %v, was leased %d times, in try %d", run.GetState(), run.GetEpoch(), run.GetAttempt())
	}
}

func TestAWorkerThatIsKilledLosesNoStep(t *testing.T) {
	house := openHouse(t, "--session-grace", "100ms")
	first := startStepper(t, house, "hang")
	first.hear(t, ready)
	id := startSteps(t, house)
	first.hear(t, "second")
	first.signal(t, syscall.SIGKILL)
	first.ended()
	second := startStepper(t, house, "go")
	one, two := first.Process.Pid, second.Process.Pid
	is(t, []int{one, two, two}, house.completed(t, id))
	stands(t, house.runOf(t, id), pb.RunState_RUN_STATE_COMPLETED, 2, 0)
}

func TestAtSIGTERMWhatRunsIsEndedAndNothingMoreIsTaken(t *testing.T) {
	house := openHouse(t, "--session-grace", "1h")
	worker := startStepper(t, house, "slow")
	worker.hear(t, ready)
	id := startSteps(t, house)
	worker.hear(t, "second")
	worker.signal(t, syscall.SIGTERM)
	worker.hear(t, "ended well")
	if status := worker.ended(); status != 0 {
		t.Errorf("it ended with status %d", status)
	}
	stands(t, house.runOf(t, id), pb.RunState_RUN_STATE_COMPLETED, 1, 0)
	queued := house.watch(t, house.queued(t, startSteps(t, house)), func(*pb.Run) bool { return true })
	stands(t, queued, pb.RunState_RUN_STATE_QUEUED, 0, 0)
}

func TestAtASecondSignalNothingIsWaitedFor(t *testing.T) {
	house := openHouse(t, "--session-grace", "1h")
	worker := startStepper(t, house, "hang")
	worker.hear(t, ready)
	id := startSteps(t, house)
	worker.hear(t, "second")
	worker.signal(t, syscall.SIGTERM)
	worker.hear(t, "again to stop at once")
	worker.signal(t, syscall.SIGINT)
	if status := worker.ended(); status != 1 {
		t.Errorf("it ended with status %d", status)
	}
	startStepper(t, house, "go")
	stands(t, house.runOf(t, id), pb.RunState_RUN_STATE_COMPLETED, 2, 0)
}

func TestCodeThatNeverEndsIsHandedBackAfterTheDrainTimeout(t *testing.T) {
	house := openHouse(t, "--session-grace", "1h")
	worker := startStepper(t, house, "stuck")
	worker.hear(t, ready)
	id := startSteps(t, house)
	worker.hear(t, "second")
	worker.signal(t, syscall.SIGTERM)
	worker.hear(t, "ended well")
	worker.ended()
	startStepper(t, house, "go")
	stands(t, house.runOf(t, id), pb.RunState_RUN_STATE_COMPLETED, 2, 0)
}

func TestCodeThatKeepsItsProcessBusyStopsNoHeartbeat(t *testing.T) {
	house := openHouse(t, "--heartbeat-interval", "100ms", "--session-timeout", "1s", "--session-grace", "100ms")
	startStepper(t, house, "busy", "GOMAXPROCS=1").hear(t, ready)
	stands(t, house.runOf(t, startSteps(t, house)), pb.RunState_RUN_STATE_COMPLETED, 1, 0)
}

func TestAServerThatRestartsLosesNothingOfWhatAWorkerHolds(t *testing.T) {
	house := openHouse(t, "--session-grace", "1h")
	client := house.app(t)
	begun, goOn := make(chan bool), make(chan bool)
	var bodies atomic.Int64
	create(t, client, "steps", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		first, err := step.Run(ctx, "first", func(context.Context) (int64, error) {
			begun <- true
			<-goOn
			return bodies.Add(1), nil
		})
		if err != nil {
			return nil, err
		}
		return step.Run(ctx, "second", returning(first+1))
	})
	worker, _ := work(t, client, steplane.WorkerOpts{})
	id := send(t, client, "steps", nil)
	receive(t, "the step", begun)
	house.stop(syscall.SIGKILL)
	close(goOn) // what is reported now waits for the next server
	until(t, "the end of the connection", func() (bool, bool) { return true, !worker.IsConnected() })
	house.start(t)
	if err := worker.Connected(soon(t)); err != nil {
		t.Fatal(err)
	}
	is(t, 2, house.completed(t, id))
	stands(t, house.runOf(t, id), pb.RunState_RUN_STATE_COMPLETED, 1, 0)
	if bodies.Load() != 1 {
		t.Errorf("the body was executed %d times", bodies.Load())
	}
}

func TestAWorkerMayBeginBeforeItsServerAndSaysWhatItLacks(t *testing.T) {
	house := openHouse(t)
	house.stop(syscall.SIGTERM)
	worker := startStepper(t, house, "go")
	worker.hear(t, "nothing answers at "+house.address)
	worker.hear(t, "try 2")
	house.start(t)
	worker.hear(t, ready)
	pid := worker.Process.Pid
	is(t, []int{pid, pid, pid}, house.completed(t, startSteps(t, house)))
}

func TestADefinitionThatTheServerRefusesEndsTheWorker(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	handler := func(context.Context, steplane.Input[any]) (any, error) { return nil, nil }
	if _, err := steplane.CreateFunction(
		client, steplane.FunctionOpts{ID: "bad"}, steplane.CronTrigger("61 * * * *"), handler,
	); err != nil {
		t.Fatal(err)
	}
	worker := client.Worker(steplane.WorkerOpts{})
	ended := make(chan error, 1)
	go func() { ended <- worker.Connected(soon(t)) }()
	err := worker.Run(soon(t))
	var refused *steplane.RegistrationError
	if !errors.As(err, &refused) || refused.Code != "INVALID_ARGUMENT" || len(refused.Violations) == 0 ||
		!strings.Contains(err.Error(), "function 'bad'") || !strings.Contains(err.Error(), "\n  definition.triggers[0]") {
		t.Errorf("it ended with %v", err)
	}
	if told := receive(t, "what waits for it", ended); !errors.Is(told, err) {
		t.Errorf("who waits for the connection is told %v", told)
	}
}

func TestAWorkerRunsOnce(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	create(t, client, "any", steplane.FunctionOpts{}, func(context.Context, steplane.Input[any]) (any, error) { return nil, nil })
	worker, stop := work(t, client, steplane.WorkerOpts{})
	if err := worker.Run(soon(t)); err == nil || !strings.HasPrefix(err.Error(), "a worker runs once") {
		t.Errorf("the second time it ends with %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if worker.IsConnected() || worker.Connected(soon(t)) == nil {
		t.Error("it is connected after its end")
	}
}

func TestAWorkerServesTheFunctionsThatItIsToldTo(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	handler := func(context.Context, steplane.Input[any]) (any, error) { return "served", nil }
	served, err := steplane.CreateFunction(
		client, steplane.FunctionOpts{ID: "served"}, steplane.EventTrigger(client.AppID()+"/served", nil), handler)
	if err != nil {
		t.Fatal(err)
	}
	create(t, client, "other", steplane.FunctionOpts{}, handler)
	work(t, client, steplane.WorkerOpts{Functions: []steplane.ServableFunction{served}})
	is(t, "served", house.completed(t, send(t, client, "served", nil)))
	functions, err := house.functions.ListFunctions(soon(t), &pb.ListFunctionsRequest{AppId: client.AppID()})
	if err != nil {
		t.Fatal(err)
	}
	if len(functions.GetFunctions()) != 1 {
		t.Errorf("%d functions are registered", len(functions.GetFunctions()))
	}
}

func TestALargeJournalComesInPartsAndIsReplayedWhole(t *testing.T) {
	house := openHouse(t, "--frame-bytes-max", "256KiB", "--batch-bytes-max", "128KiB", "--event-bytes-max", "128KiB", "--step-output-bytes-max", "128KiB")
	client := house.app(t)
	var bodies atomic.Int64
	create(t, client, "large", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		size := 0
		for range 12 {
			text, err := step.Run(ctx, "part", func(context.Context) (string, error) {
				bodies.Add(1)
				return strings.Repeat("x", 100_000), nil
			})
			if err != nil {
				return nil, err
			}
			size += len(text)
		}
		return size, step.Sleep(ctx, "nap", 10*time.Millisecond)
	})
	work(t, client, steplane.WorkerOpts{})
	is(t, 1_200_000, house.completed(t, send(t, client, "large", nil)))
	if bodies.Load() != 12 {
		t.Errorf("%d bodies were executed", bodies.Load())
	}
}
