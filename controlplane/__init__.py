"""The Steplane server: a gRPC control plane for event-driven durable functions."""
