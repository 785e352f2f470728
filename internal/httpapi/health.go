package httpapi

import (
	"context"
	"errors"
	"net/http"

	"hongyan/internal/domain"
)

// ready answers for load balancers.
func ready(s *Server, w http.ResponseWriter, r *request) error {
	if s.cfg.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := s.cfg.Ready(ctx); err != nil {
			if _, ok := errors.AsType[*domain.Error](err); ok {
				return err
			}
			return &domain.Error{Code: domain.CodeUnavailable, Detail: "not ready", Err: err}
		}
	}
	return reply(w, http.StatusOK, statusOK)
}

func live(_ *Server, w http.ResponseWriter, _ *request) error {
	return reply(w, http.StatusOK, statusOK)
}

// Status is the answer of the health routes.
type Status struct {
	Status string `json:"status"`
}

var statusOK = Status{Status: "ok"}
