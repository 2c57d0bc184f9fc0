"""The Steplane server: a gRPC control plane for event-driven durable functions."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
