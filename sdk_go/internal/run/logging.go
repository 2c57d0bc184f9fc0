package run

import (
	"context"
	"log/slog"
)

// quietHandler is silent while the code walks over what is recorded, and so was logged before.
type quietHandler struct {
	slog.Handler
	invocation *Invocation
}

func (h quietHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.Handler.Enabled(ctx, level) && !h.invocation.isReplaying()
}

func (h quietHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quietHandler{h.Handler.WithAttrs(attrs), h.invocation}
}

func (h quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{h.Handler.WithGroup(name), h.invocation}
}
