// Package worker serves functions: one stream to the server, all that is to be told on it, and all invocations.
//
// The session keeps a stream open for ever. The outbox has what the server has not confirmed. The executor has the
// invocations, and tells each what the server says. No user's code runs in their goroutines, so that none holds up a heartbeat.
package worker
