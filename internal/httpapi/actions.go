package httpapi

import (
	"crypto/sha256"
	"net/http"

	"hongyan/internal/domain"
)

func cancelMessage(s *Server, w http.ResponseWriter, r *request) error {
	if err := s.decode(w, r, emptyShape, true, &struct{}{}); err != nil {
		return err
	}
	v, err := s.visible(r.Context(), r)
	if err != nil {
		return err
	}
	if s.cfg.Messages == nil {
		return errNoService
	}
	if _, err := s.cfg.Messages.Cancel(r.Context(), r.caller, v.Message.ID); err != nil {
		return err
	}
	if v, err = s.cfg.History.FindMessage(r.Context(), v.Message.ID); err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.messageView(v, r.language()))
}

type releaseRequest struct {
	Do string `json:"do,omitempty" enum:"send,drop" doc:"send (default): send it, although WeCom may have it already; drop: leave it, as uncertain"`
}

func releaseMessage(s *Server, w http.ResponseWriter, r *request) error {
	var req releaseRequest
	if err := s.decode(w, r, releaseShape, true, &req); err != nil {
		return err
	}
	if f, ok := choice("/do", req.Do, "send", "drop"); !ok {
		return domain.Invalid(f)
	}
	v, err := s.visible(r.Context(), r)
	if err != nil {
		return err
	}
	if s.cfg.Held == nil {
		return errNoService
	}
	if err := s.cfg.Held.ReleaseMessage(r.Context(), v.Message.ID, req.Do == "drop", r.caller.KeyID); err != nil {
		return err
	}
	if v, err = s.cfg.History.FindMessage(r.Context(), v.Message.ID); err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.messageView(v, r.language()))
}

// choice says what is wrong with an optional field that knows two words.
func choice(pointer, got, a, b string) (domain.FieldError, bool) {
	if got == "" || got == a || got == b {
		return domain.FieldError{}, true
	}
	return domain.FieldError{Pointer: pointer, Code: "enum", Args: []any{[]string{a, b}}, Message: "is not known", Fix: "use " + a + " or " + b}, false
}

type resendRequest struct {
	Render string `json:"render,omitempty" enum:"same,latest" doc:"same (default): as it was; latest: rendered anew by the scene's live version"`
	Only   string `json:"only,omitempty" enum:"failed,all" doc:"failed (default): what did not arrive, to those whom it did not reach; with render latest, the whole to whoever lacks a piece of it; all: everything to everyone"`
}

func resendMessage(s *Server, w http.ResponseWriter, r *request) error {
	n, err := s.optionalBody(w, r)
	if err != nil {
		return err
	}
	var req resendRequest
	if err := fit(&n, resendShape, &req); err != nil {
		return err
	}
	var bad []domain.FieldError
	for _, c := range []struct{ pointer, got, a, b string }{{"/render", req.Render, "same", "latest"}, {"/only", req.Only, "failed", "all"}} {
		if f, ok := choice(c.pointer, c.got, c.a, c.b); !ok {
			bad = append(bad, f)
		}
	}
	if len(bad) > 0 {
		return domain.Invalid(bad...)
	}
	opt, err := options(r, &n)
	if err != nil {
		return err
	}
	v, err := s.visible(r.Context(), r)
	if err != nil {
		return err
	}
	if s.cfg.Messages == nil {
		return errNoService
	}
	// The message stands in the path, not in the body: the same body for another
	// message is another request.
	opt.BodyHash = sha256.Sum256(append([]byte("resend "+v.Message.ID+" "), opt.BodyHash[:]...))
	a, err := s.cfg.Messages.Resend(r.Context(), r.caller, v.Message.ID, domain.ResendOptions{Latest: req.Render == "latest", All: req.Only == "all", Submit: opt})
	if err != nil {
		return err
	}
	return s.replyAccepted(w, r, a)
}
