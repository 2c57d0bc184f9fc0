// Package replay is the replay of a run: pure. No I/O, no clock, no goroutines, no gRPC; the same rooms in every SDK.
package replay
