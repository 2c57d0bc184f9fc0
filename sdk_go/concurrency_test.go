package steplane_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/group"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/step"
)

// returning is the body of a step that returns a value.
func returning[T any](value T) func(context.Context) (T, error) {
	return func(context.Context) (T, error) { return value, nil }
}

func TestBranchesThatUseTheSameIDBeginInTheirOrder(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	var bodies atomic.Int64
	create(t, client, "same", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		var branches []func(ctx context.Context) (int, error)
		for index := range 10 {
			branches = append(branches, func(ctx context.Context) (int, error) {
				value, err := step.Run(ctx, "a", func(context.Context) (int, error) {
					bodies.Add(1)
					return index, nil
				})
				if err != nil {
					return 0, err
				}
				return value, step.Sleep(ctx, "nap", 20*time.Millisecond)
			})
		}
		results := group.Parallel(ctx, branches...)
		values := []int{}
		for _, result := range results {
			values = append(values, result.Value)
		}
		return values, results.AnyError()
	})
	work(t, client, steplane.WorkerOpts{})
	id := send(t, client, "same", nil)
	is(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, house.completed(t, id))
	journal := house.journal(t, house.queued(t, id))
	for index := range 10 {
		is(t, index, string(journal[fmt.Sprintf("a#%d", index)].GetOutput().GetData()))
	}
	if bodies.Load() != 10 {
		t.Errorf("%d bodies were executed", bodies.Load())
	}
}

func TestGroupsCanBeNested(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	create(t, client, "nested", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		branch := func(ctx context.Context) (int, error) {
			inner := group.Parallel(ctx,
				func(ctx context.Context) (int, error) { return 0, step.Sleep(ctx, "nap", 10*time.Millisecond) },
				func(ctx context.Context) (int, error) { return step.Run(ctx, "a", returning(2)) },
			)
			return inner[1].Value, inner.AnyError()
		}
		results := group.Parallel(ctx, branch, branch)
		return results[0].Value + results[1].Value, results.AnyError()
	})
	work(t, client, steplane.WorkerOpts{})
	is(t, 4, house.completed(t, send(t, client, "nested", nil)))
}

func TestARaceHasTheSameWinnerInEveryReplay(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	var mu sync.Mutex
	var winners []string
	create(t, client, "race", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		winner, err := group.Race(ctx,
			func(ctx context.Context) (string, error) { return "slow", step.Sleep(ctx, "slow", 60*time.Millisecond) },
			func(ctx context.Context) (string, error) { return "fast", step.Sleep(ctx, "fast", 20*time.Millisecond) },
		)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		winners = append(winners, winner)
		mu.Unlock()
		if err := step.Sleep(ctx, "both-end-meanwhile", 150*time.Millisecond); err != nil {
			return nil, err
		}
		return step.Run(ctx, "tell", returning(winner))
	})
	work(t, client, steplane.WorkerOpts{})
	is(t, "fast", house.completed(t, send(t, client, "race", nil)))
	mu.Lock()
	defer mu.Unlock()
	if len(winners) < 2 || slices.Contains(winners, "slow") {
		t.Errorf("the winners are %v", winners)
	}
}

func TestTheStepsOfARacesLoserEndWithItsContext(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	lost := make(chan error, 3)
	create(t, client, "loses", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		return group.Race(ctx,
			func(ctx context.Context) (any, error) {
				err := step.Sleep(ctx, "long", time.Hour)
				lost <- err
				lost <- context.Cause(ctx)
				_, again := step.Run(ctx, "refund", returning(1))
				lost <- again
				return nil, err
			},
			func(ctx context.Context) (any, error) { return step.Run(ctx, "win", returning("won")) },
		)
	})
	work(t, client, steplane.WorkerOpts{})
	id := send(t, client, "loses", nil)
	is(t, "won", house.completed(t, id))
	for _, expected := range []error{context.Canceled, steplane.ErrRaceLost, context.Canceled} {
		if err := receive(t, "the loser", lost); !errors.Is(err, expected) {
			t.Errorf("the loser is told %v, not %v", err, expected)
		}
	}
	if _, isRecorded := house.journal(t, house.queued(t, id))["refund#0"]; isRecorded {
		t.Error("the loser went on")
	}
}

func TestALoserThatHasBranchesEndsWithThem(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	ended := make(chan error, 2)
	create(t, client, "inner", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		long := func(ctx context.Context) (string, error) {
			err := step.Sleep(ctx, "long", time.Hour)
			ended <- err
			return "", err
		}
		winner, err := group.Race(ctx,
			func(ctx context.Context) (string, error) { return "", group.Parallel(ctx, long, long).AnyError() },
			func(ctx context.Context) (string, error) {
				return "short", step.Sleep(ctx, "short", 10*time.Millisecond)
			},
		)
		return []any{winner, len(ended)}, err // both have ended by now: they only waited
	})
	work(t, client, steplane.WorkerOpts{})
	is(t, []any{"short", 2}, house.completed(t, send(t, client, "inner", nil)))
}

func TestAGroupCanBeInAGoroutineOfTheUser(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	create(t, client, "outer", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		results := make(chan group.Results[int], 1)
		go func() {
			results <- group.Parallel(ctx,
				func(ctx context.Context) (int, error) { return 1, step.Sleep(ctx, "nap", 10*time.Millisecond) },
				func(ctx context.Context) (int, error) { return step.Run(ctx, "a", returning(2)) },
			)
		}()
		var all group.Results[int]
		select {
		case all = <-results:
		case <-ctx.Done(): // parked: the goroutine tells nothing any more
			return nil, ctx.Err()
		}
		return all[0].Value + all[1].Value, all.AnyError()
	})
	work(t, client, steplane.WorkerOpts{})
	is(t, 3, house.completed(t, send(t, client, "outer", nil)))
}

func TestABranchThatDoesSomethingElseFirstHoldsUpTheOthersNotForLong(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	create(t, client, "late", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		goOn := make(chan bool)
		results := group.Parallel(ctx,
			func(ctx context.Context) (int, error) {
				<-goOn // which the branch after it says
				return step.Run(ctx, "a", returning(1))
			},
			func(ctx context.Context) (int, error) {
				value, err := step.Run(ctx, "b", returning(2))
				close(goOn)
				return value, err
			},
		)
		return results[0].Value + results[1].Value, results.AnyError()
	})
	work(t, client, steplane.WorkerOpts{})
	is(t, 3, house.completed(t, send(t, client, "late", nil)))
}

func TestABodyThatHeedsNoContextHoldsUpNoRace(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	hold := make(chan struct{})
	defer close(hold)
	create(t, client, "deaf", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		return group.Race(ctx,
			func(ctx context.Context) (string, error) {
				return step.Run(ctx, "deaf", func(context.Context) (string, error) {
					<-hold
					return "late", nil
				})
			},
			func(ctx context.Context) (string, error) {
				return "in time", step.Sleep(ctx, "nap", 10*time.Millisecond)
			},
		)
	})
	work(t, client, steplane.WorkerOpts{})
	is(t, "in time", house.completed(t, send(t, client, "deaf", nil)))
}

func TestStepsCanBeCalledByGoroutinesOfTheUser(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	var bodies atomic.Int64
	create(t, client, "goroutines", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		var group sync.WaitGroup
		values, errs := make([]int, 20), make([]error, 20)
		for index := range values {
			group.Add(1)
			go func() {
				defer group.Done()
				id := fmt.Sprintf("a%d", index)
				if values[index], errs[index] = step.Run(ctx, id, func(context.Context) (int, error) {
					bodies.Add(1)
					return index, nil
				}); errs[index] == nil {
					errs[index] = step.Sleep(ctx, "nap", time.Duration(index)*time.Millisecond)
				}
			}()
		}
		group.Wait()
		return values[19] + values[1], errors.Join(errs...)
	})
	work(t, client, steplane.WorkerOpts{})
	is(t, 20, house.completed(t, send(t, client, "goroutines", nil)))
	if bodies.Load() != 20 {
		t.Errorf("%d bodies were executed", bodies.Load())
	}
}

func TestAGoroutineOfTheUserIsWaitedForWhileItsStepRuns(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	create(t, client, "beside", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		result := make(chan string, 1)
		go func() {
			value, _ := step.Run(ctx, "work", func(ctx context.Context) (string, error) {
				<-time.After(150 * time.Millisecond)
				return "worked", ctx.Err()
			})
			result <- value
		}()
		if err := step.Sleep(ctx, "nap", time.Millisecond); err != nil {
			return nil, err
		}
		return <-result, nil
	})
	work(t, client, steplane.WorkerOpts{})
	id := send(t, client, "beside", nil)
	is(t, "worked", house.completed(t, id))
	if epoch := house.runOf(t, id).GetEpoch(); epoch != 1 {
		t.Errorf("it was leased %d times", epoch)
	}
}

func TestAContextOfTheUserEndsTheStepsThatItIsGivenTo(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	create(t, client, "cancels", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		waited := make(chan error, 1)
		go func() { waited <- step.Sleep(inner, "long", time.Hour) }()
		if _, err := step.Run(ctx, "fail", func(context.Context) (any, error) {
			return nil, &steplane.NonRetriableError{Message: "no"}
		}); err == nil {
			return nil, errors.New("it did not fail")
		}
		cancel()
		err := <-waited
		return []bool{errors.Is(err, context.Canceled), ctx.Err() == nil}, nil
	})
	work(t, client, steplane.WorkerOpts{})
	is(t, []bool{true, true}, house.completed(t, send(t, client, "cancels", nil)))
}

func TestNoRecoverOfTheUserSeesThatARunIsParked(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	recovered, causes := make(chan any, 10), make(chan error, 10)
	create(t, client, "recovers", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (result any, err error) {
		defer func() {
			recovered <- recover()
			causes <- context.Cause(ctx)
			if err == nil {
				_, err = step.Run(ctx, "deferred", returning(1)) // goes no further in a run that is parked
			}
		}()
		if err := step.Sleep(ctx, "nap", 20*time.Millisecond); err != nil {
			return nil, err
		}
		return "woken", nil
	})
	work(t, client, steplane.WorkerOpts{})
	id := send(t, client, "recovers", nil)
	is(t, "woken", house.completed(t, id))
	for range 2 {
		if value := receive(t, "a recover", recovered); value != nil {
			t.Errorf("it recovers %v", value)
		}
	}
	if cause := receive(t, "a cause", causes); !errors.Is(cause, steplane.ErrParked) {
		t.Errorf("the context ended by %v", cause)
	}
	if len(house.journal(t, house.queued(t, id))) != 2 {
		t.Error("the deferred step is missing")
	}
}

func TestPanicsFailTheirStepOrRunAndLeaveTheWorkerAlone(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	var tries atomic.Int64
	create(t, client, "step", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		return step.Run(ctx, "a", func(context.Context) (string, error) {
			if tries.Add(1) == 1 {
				panic("at first")
			}
			return "then not", nil
		})
	})
	no := steplane.FunctionOpts{Retries: steplane.IntPtr(0)}
	create(t, client, "function", no, func(_ context.Context, input steplane.Input[any]) (any, error) {
		var nothing []int
		return nothing[input.Attempt], nil
	})
	create(t, client, "typed", no, func(context.Context, steplane.Input[any]) (any, error) { panic(&cardDeclined{"no"}) })
	create(t, client, "branch", no, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		var panicked *steplane.PanicError
		results := group.Parallel(ctx, func(context.Context) (any, error) { panic("in a branch") })
		if !errors.As(results[0].Error, &panicked) {
			return nil, errors.New("no PanicError")
		}
		return []any{panicked.Value, panicked.Stack != ""}, nil
	})
	create(t, client, "exit", no, func(context.Context, steplane.Input[any]) (any, error) {
		runtime.Goexit()
		return nil, nil
	})
	create(t, client, "exit-step", no, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		return step.Run(ctx, "a", func(context.Context) (any, error) {
			runtime.Goexit()
			return nil, nil
		})
	})
	work(t, client, steplane.WorkerOpts{})
	is(t, "then not", house.completed(t, send(t, client, "step", nil)))
	is(t, []any{"in a branch", true}, house.completed(t, send(t, client, "branch", nil)))
	for id, expected := range map[string]string{
		"function": "Panic: panic: runtime error: index out of range [0] with length 0", "typed": "cardDeclined: panic: no",
		"exit":      "NonRetriableError: the code ended its goroutine by runtime.Goexit",
		"exit-step": "NonRetriableError: the code ended its goroutine by runtime.Goexit",
	} {
		failure := house.failed(t, send(t, client, id, nil))
		if found := failure.GetName() + ": " + failure.GetMessage(); found != expected {
			t.Errorf("%s failed with %s", id, found)
		}
	}
}

func TestTheContextOfACancelledRunEndsAndItsCodeGoesNoFurther(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	begun, causes := make(chan string, 1), make(chan error, 1)
	var isPast atomic.Bool
	create(t, client, "long", steplane.FunctionOpts{}, func(ctx context.Context, input steplane.Input[any]) (any, error) {
		_, err := step.Run(ctx, "work", func(ctx context.Context) (any, error) {
			begun <- input.RunID
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil, ctx.Err()
		})
		isPast.Store(true)
		return nil, err
	})
	_, stop := work(t, client, steplane.WorkerOpts{})
	id := send(t, client, "long", nil)
	house.cancel(t, receive(t, "the step", begun))
	if cause := receive(t, "the end of the context", causes); !errors.Is(cause, steplane.ErrTakenAway) {
		t.Errorf("it ended by %v", cause)
	}
	if state := house.runOf(t, id).GetState(); state != pb.RunState_RUN_STATE_CANCELLED {
		t.Errorf("the run is %v", state)
	}
	if err := stop(); err != nil || isPast.Load() {
		t.Errorf("the code went on, or the worker failed: %v", err)
	}
}

func TestResultsComeInTheRecordedOrderWhateverBranchesDoBetweenTheirSteps(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	for _, isPlain := range []bool{false, true} {
		id := fmt.Sprintf("order-%v", isPlain)
		create(t, client, id, steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
			var mu sync.Mutex
			var order []string
			do := func(ctx context.Context, id string, takes time.Duration) {
				_, _ = step.Run(ctx, id, func(context.Context) (any, error) {
					<-time.After(takes)
					return nil, nil
				})
				mu.Lock()
				defer mu.Unlock()
				order = append(order, id)
			}
			first := func(ctx context.Context) (any, error) {
				do(ctx, "a1", 0)
				<-time.After(30 * time.Millisecond)
				do(ctx, "a2", 0)
				return nil, nil
			}
			second := func(ctx context.Context) (any, error) {
				do(ctx, "b1", 200*time.Millisecond)
				return nil, nil
			}
			if isPlain {
				var both sync.WaitGroup
				for _, branch := range []func(ctx context.Context) (any, error){first, second} {
					both.Add(1)
					go func() {
						defer both.Done()
						_, _ = branch(ctx)
					}()
				}
				both.Wait()
			} else {
				group.Parallel(ctx, first, second)
			}
			return order, step.Sleep(ctx, "nap", 10*time.Millisecond)
		})
	}
	work(t, client, steplane.WorkerOpts{})
	for _, id := range []string{"order-false", "order-true"} {
		is(t, []string{"a1", "a2", "b1"}, house.completed(t, send(t, client, id, nil)))
	}
}

func TestAParkedRunLeavesNoGoroutineBehind(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	create(t, client, "parked", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		var goroutine sync.WaitGroup
		goroutine.Add(1)
		go func() {
			defer goroutine.Done()
			_ = step.Sleep(ctx, "longer", time.Hour)
		}()
		long := func(ctx context.Context) (any, error) { return nil, step.Sleep(ctx, "long", time.Hour) }
		err := group.Parallel(ctx, long, long).AnyError()
		goroutine.Wait()
		return nil, err
	})
	work(t, client, steplane.WorkerOpts{})
	for range 20 {
		house.parked(t, send(t, client, "parked", nil))
	}
	until(t, "the end of all code of functions", func() (bool, bool) {
		stacks := make([]byte, 1<<22)
		return true, !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "internal/run.")
	})
}
