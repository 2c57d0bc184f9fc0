// Package steplane is the Go SDK of Steplane: durable functions, run by events.
//
// A function is code with steps. What a step returned is recorded, so that the function survives the crash of any process: it
// is called again, and recorded steps return at once what is recorded of them.
//
//	client, err := steplane.NewClient(steplane.ClientOpts{AppID: "shop"})
//	...
//	_, err = steplane.CreateFunction(
//		client,
//		steplane.FunctionOpts{ID: "fulfil"},
//		steplane.EventTrigger("shop/order.created", nil),
//		func(ctx context.Context, input steplane.Input[Order]) (any, error) {
//			receipt, err := step.Run(ctx, "charge", func(ctx context.Context) (string, error) {
//				return charge(ctx, input.Event.Data)
//			})
//			...
//		},
//	)
//	...
//	err = client.Serve(ctx) // takes runs until SIGTERM
//
// The steps are in package step, several of them at once in package group.
//
// # Code of functions
//
// A function is called again whenever its run goes on, so what it does outside of steps has to come to the same each time: no
// clock, no chance, no I/O but in steps. When all of its goroutines wait for steps that take time, the run is parked: its
// goroutines end, as if by [runtime.Goexit], and the run goes on later, in a new call. Deferred functions are called then, and
// recover gives nil.
//
// The context that a function is given ends with the invocation: when the run is parked, when it was cancelled, or given to
// another worker. [context.Cause] tells which. Give it, or one that derives from it, to everything that takes time. A step whose
// context ends returns that context's error, and is not waited for any longer.
//
// A panic fails the step or the function that it is in, and is tried again like an error; the worker goes on. Only a panic
// outside of steps in a goroutine that a function started by itself can be caught by nobody.
package steplane
