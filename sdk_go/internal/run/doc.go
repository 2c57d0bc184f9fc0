// Package run is one invocation of a function: its machine, its goroutines, its reports.
//
// Everything of an invocation is guarded by one lock. A goroutine of the user's code that calls a step takes it, tells the
// machine, and waits without it; the goroutine that reads the server's frames takes it to tell what was answered. Whoever has
// changed something last decides what comes next (see advance): a result is delivered, or the invocation is parked.
package run
