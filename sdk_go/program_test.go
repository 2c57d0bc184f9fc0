package steplane_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/step"
)

// programVariable has the test binary be one of these programs, instead of running tests.
const programVariable = "STEPLANE_TEST_PROGRAM"

var programs = map[string]func(){"stepper": stepper}

// stepper is a worker of one function with three steps, which says and logs on its standard output where it is. The argument is
// what it does in the second one.
func stepper() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, nil))
	client, err := steplane.NewClient(steplane.ClientOpts{AppID: "stepper", Logger: logger})
	if err != nil {
		log.Fatal(err)
	}
	handler := func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		var pids [3]int
		for index, id := range []string{"first", "second", "third"} {
			pids[index], err = step.Run(ctx, id, func(context.Context) (int, error) {
				fmt.Println(id)
				if id == "second" {
					stay(os.Args[1])
				}
				return os.Getpid(), nil
			})
			if err != nil {
				return nil, err
			}
		}
		return pids, nil
	}
	opts := steplane.FunctionOpts{ID: "steps", Retries: steplane.IntPtr(0)}
	if _, err := steplane.CreateFunction(client, opts, steplane.EventTrigger("stepper/steps", nil), handler); err != nil {
		log.Fatal(err)
	}
	drainTimeout := 5 * time.Second
	if os.Args[1] == "stuck" {
		drainTimeout = 100 * time.Millisecond
	}
	if err := client.Serve(context.Background(), steplane.WorkerOpts{DrainTimeout: drainTimeout}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ended well")
}

func stay(how string) {
	switch how {
	case "hang", "stuck":
		select {}
	case "slow":
		time.Sleep(300 * time.Millisecond)
	case "busy":
		for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
			continue
		}
	}
}

// program is a process of its own.
type program struct {
	*exec.Cmd
	said *bufio.Scanner
}

// startStepper starts the program as users start theirs.
func startStepper(t *testing.T, house *house, how string, variables ...string) program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self, how)
	command.Env = append(os.Environ(), programVariable+"=stepper", "STEPLANE_ADDRESS="+house.address)
	command.Env = append(command.Env, variables...)
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return program{command, bufio.NewScanner(output)}
}

// hear waits until it says something.
func (p program) hear(t *testing.T, words string) {
	t.Helper()
	for p.said.Scan() {
		if strings.Contains(p.said.Text(), words) {
			return
		}
	}
	t.Fatalf("the program ended without saying %s", words)
}

// signal gives it a signal.
func (p program) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// ended waits for its end: its status.
func (p program) ended() int {
	_ = p.Wait()
	return p.ProcessState.ExitCode()
}
