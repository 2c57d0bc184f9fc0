package steplane_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	steplane "github.com/steplane/steplane/sdk_go"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
)

// fast has retries that a test can wait for.
var fast = &steplane.Retry{Attempts: 5, FirstDelay: 10 * time.Millisecond, Factor: 1}

// quiet is for what nobody reads.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

var shared struct {
	once  sync.Once
	house *house
}

func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		programs[name]()
		return
	}
	status := m.Run()
	if shared.house != nil {
		shared.house.end()
	}
	os.Exit(status)
}

// house is a real server in a process of its own, and what it knows of runs.
type house struct {
	address   string
	folder    string
	flags     []string
	server    *exec.Cmd
	runs      pb.RunServiceClient
	functions pb.FunctionServiceClient
}

// openHouse starts a server that runs until the test ends, beside other tests that have one of their own.
func openHouse(t *testing.T, flags ...string) *house {
	t.Helper()
	t.Parallel()
	h := newHouse(t, flags...)
	t.Cleanup(h.end)
	return h
}

// sharedHouse is a server for all tests that need no more than an app of their own.
func sharedHouse(t *testing.T) *house {
	t.Helper()
	shared.once.Do(func() { shared.house = newHouse(t) })
	if shared.house == nil {
		t.Skip("there is no server")
	}
	return shared.house
}

func newHouse(t *testing.T, flags ...string) *house {
	t.Helper()
	python, err := filepath.Abs("../.venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil {
		if os.Getenv("NOTHING_LEFT_OUT") != "" {
			t.Fatal("there is no server: run `make setup` in the root of the checkout")
		}
		t.Skip("there is no server: run `make setup` in the root of the checkout")
	}
	folder, err := os.MkdirTemp("", "steplane-test-")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{address: "127.0.0.1:0", folder: folder, flags: flags}
	h.start(t)
	connection, err := grpc.NewClient(h.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	h.runs, h.functions = pb.NewRunServiceClient(connection), pb.NewFunctionServiceClient(connection)
	return h
}

// start starts the server; again, it takes the same database and the same port.
func (h *house) start(t *testing.T) {
	t.Helper()
	ready := filepath.Join(h.folder, "ready")
	arguments := []string{
		"-m", "controlplane", "serve", "--db", filepath.Join(h.folder, "steplane.db"), "--listen", h.address,
		"--ready-file", ready, "--synchronous", "normal", "--session-grace", "1s",
	}
	h.server = exec.Command("../.venv/bin/python", append(arguments, h.flags...)...)
	log, err := os.OpenFile(filepath.Join(h.folder, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	h.server.Stdout, h.server.Stderr = log, log
	if err := h.server.Start(); err != nil {
		t.Fatal(err)
	}
	text := until(t, "the server to be ready", func() (string, bool) {
		text, err := os.ReadFile(ready)
		return string(text), err == nil && strings.Contains(string(text), "\n")
	})
	h.address, _, _ = strings.Cut(text, "\n")
}

// stop ends the server: politely, or as a power cut would.
func (h *house) stop(signal syscall.Signal) {
	_ = h.server.Process.Signal(signal)
	_ = h.server.Wait()
	_ = os.Remove(filepath.Join(h.folder, "ready"))
}

func (h *house) end() {
	h.stop(syscall.SIGKILL)
	_ = os.RemoveAll(h.folder)
}

var apps atomic.Int64

// app is a client of an app that no other test has.
func (h *house) app(t *testing.T) steplane.Client {
	t.Helper()
	client, err := steplane.NewClient(steplane.ClientOpts{
		AppID: fmt.Sprintf("app-%d", apps.Add(1)), Address: h.address, Logger: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// create defines a function that the event of this name starts, after the app's.
func create[T any](t *testing.T, client steplane.Client, id string, opts steplane.FunctionOpts, handler steplane.Handler[T]) {
	t.Helper()
	opts.ID = id
	if opts.Retries == nil && opts.Retry == nil {
		opts.Retry = fast
	}
	trigger := steplane.EventTrigger(client.AppID()+"/"+id, nil)
	if _, err := steplane.CreateFunction(client, opts, trigger, handler); err != nil {
		t.Fatal(err)
	}
}

// work starts a worker, and gives what stops it, which the end of the test does as well.
func work(t *testing.T, client steplane.Client, opts steplane.WorkerOpts) (worker *steplane.Worker, stop func() error) {
	t.Helper()
	if opts.DrainTimeout == 0 {
		opts.DrainTimeout = 100 * time.Millisecond
	}
	worker = client.Worker(opts)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	if err := worker.Connected(soon(t)); err != nil {
		t.Fatal(err)
	}
	return worker, stop
}

// send sends the event that starts a function: its id.
func send(t *testing.T, client steplane.Client, id string, data any) string {
	t.Helper()
	eventID, err := client.Send(soon(t), steplane.Event{Name: client.AppID() + "/" + id, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return eventID
}

// runOf is the run that an event started, once it has ended.
func (h *house) runOf(t *testing.T, eventID string) *pb.Run {
	t.Helper()
	return h.watch(t, h.queued(t, eventID), func(*pb.Run) bool { return false })
}

// parked is the run that an event started, once it waits for something.
func (h *house) parked(t *testing.T, eventID string) *pb.Run {
	t.Helper()
	return h.watch(t, h.queued(t, eventID), func(run *pb.Run) bool { return run.GetState() == pb.RunState_RUN_STATE_WAITING })
}

// queued is the id of the run that an event started.
func (h *house) queued(t *testing.T, eventID string) string {
	t.Helper()
	return until(t, "a run of event "+eventID, func() (string, bool) {
		found, err := h.runs.ListRuns(soon(t), &pb.ListRunsRequest{EventId: eventID})
		if err != nil {
			t.Fatal(err)
		}
		if len(found.GetRuns()) == 0 {
			return "", false
		}
		return found.GetRuns()[0].GetId(), true
	})
}

// watch is a run once it is so, or has ended.
func (h *house) watch(t *testing.T, runID string, isSo func(run *pb.Run) bool) *pb.Run {
	t.Helper()
	watching, err := h.runs.WatchRun(soon(t), &pb.WatchRunRequest{RunId: runID})
	if err != nil {
		t.Fatal(err)
	}
	var last *pb.Run
	for {
		answer, err := watching.Recv()
		if errors.Is(err, io.EOF) {
			return last
		}
		if err != nil {
			t.Fatalf("run %s was %v when nothing more was heard of it: %v", runID, last.GetState(), err)
		}
		if last = answer.GetRun(); isSo(last) {
			return last
		}
	}
}

// cancel cancels a run.
func (h *house) cancel(t *testing.T, runID string) {
	t.Helper()
	if _, err := h.runs.CancelRun(soon(t), &pb.CancelRunRequest{RunId: runID, Reason: "a test"}); err != nil {
		t.Fatal(err)
	}
}

// journal are the recorded steps of a run, by their keys.
func (h *house) journal(t *testing.T, runID string) map[string]*pb.JournalEntry {
	t.Helper()
	listed, err := h.runs.ListJournal(soon(t), &pb.ListJournalRequest{RunId: runID})
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]*pb.JournalEntry{}
	for _, entry := range listed.GetEntries() {
		entries[entry.GetStepKey()] = entry
	}
	return entries
}

// completed is what the run of an event returned, as JSON; the test fails if it failed.
func (h *house) completed(t *testing.T, eventID string) string {
	t.Helper()
	run := h.runOf(t, eventID)
	if run.GetState() != pb.RunState_RUN_STATE_COMPLETED {
		t.Fatalf("the run is %v: %v", run.GetState(), run.GetFailure())
	}
	return string(run.GetOutput().GetData())
}

// failed is what the run of an event failed with.
func (h *house) failed(t *testing.T, eventID string) *pb.Failure {
	t.Helper()
	run := h.runOf(t, eventID)
	if run.GetState() != pb.RunState_RUN_STATE_FAILED {
		t.Fatalf("the run is %v, and returned %s", run.GetState(), run.GetOutput().GetData())
	}
	return run.GetFailure()
}

// soon is a context for what a test waits for.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// until asks again and again until there is an answer.
func until[T any](t *testing.T, what string, ask func() (T, bool)) T {
	t.Helper()
	for ctx := soon(t); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		if answer, is := ask(); is {
			return answer
		}
	}
	t.Fatalf("waited in vain for %s", what)
	panic("unreachable")
}

// receive is what comes on a channel.
func receive[T any](t *testing.T, what string, channel <-chan T) T {
	t.Helper()
	select {
	case value := <-channel:
		return value
	case <-soon(t).Done():
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// is compares a JSON text with a value.
func is(t *testing.T, expected any, found string) {
	t.Helper()
	text, err := json.Marshal(expected)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != found {
		t.Errorf("it is %s, not %s", found, text)
	}
}
