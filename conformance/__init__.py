"""The conformance kit: what proves that a worker, in whatever language, keeps the protocol and replays as it should."""
