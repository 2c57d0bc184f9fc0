"""The replay of a run: pure. No I/O, no clock, no threads, no gRPC; the same rooms in every SDK."""
