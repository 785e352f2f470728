package httpapi

import (
	"context"
	"net/http"
	"strings"

	"hongyan/internal/domain"
)

// setupCSP is docsCSP for a page with one button that leads back here.
const setupCSP = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

// home leads a browser to something to read.
func home(_ *Server, w http.ResponseWriter, r *request) error {
	http.Redirect(w, r.Request, "/docs", http.StatusFound)
	return nil
}

// setupPage asks before anything is made: following a link changes nothing.
func setupPage(s *Server, w http.ResponseWriter, r *request) error {
	if s.cfg.Setup == nil {
		return notFound(s, w, r)
	}
	if err := s.cfg.Setup.Check(r.Context(), r.PathValue("token")); err != nil {
		return err
	}
	w.Header().Set("Referrer-Policy", "same-origin") // else browsers on plain http send the form with Origin: null
	return htmlPage(w, http.StatusOK, setupCSP, "setup", "")
}

// setupKey makes the first key: a page for browsers, JSON for the rest.
func setupKey(s *Server, w http.ResponseWriter, r *request) error {
	if s.cfg.Setup == nil {
		return notFound(s, w, r)
	}
	stored, clear, err := s.cfg.Setup.Redeem(r.Context(), r.PathValue("token"))
	if err != nil {
		return err
	}
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		return htmlPage(w, http.StatusCreated, setupCSP, "setup", clear)
	}
	v := keyView(stored)
	v.Key = clear
	w.Header().Set("Location", "/v1/keys/"+stored.ID)
	return reply(w, http.StatusCreated, v)
}

// Setup makes the first key of an installation that has none: access.Setup
// satisfies it. Both fail with domain.CodeNotFound for a token that is wrong,
// used or too old.
type Setup interface {
	Check(ctx context.Context, token string) error
	Redeem(ctx context.Context, token string) (stored domain.APIKey, clear string, err error)
}
