package store

import (
	"context"
	"errors"
	"log/slog"
)

func openPostgres(context.Context, string, *slog.Logger) (engine, error) {
	return nil, errors.New("not built yet")
}
