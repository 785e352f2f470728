package httpapi

import (
	"encoding/json"
	"fmt"

	"hongyan/internal/domain"
	"hongyan/internal/scene"
)

// warnings say what is allowed in a scene or an audience and hardly meant.
func (s *Server) warnings(r *request, kind domain.ResourceKind, spec json.RawMessage) []ProblemField {
	var found []domain.FieldError
	switch kind {
	case domain.ResourceScene:
		var sc domain.Scene
		if json.Unmarshal(spec, &sc) == nil { // what is stored was checked
			found = append(scene.Warn(sc), s.strange(r, "/to/audiences", domain.ResourceAudience, sc.To.Audiences)...)
			found = append(found, s.strange(r, "/to/robots", domain.ResourceRobot, sc.To.Robots)...)
		}
	case domain.ResourceAudience:
		var a domain.Audience
		if json.Unmarshal(spec, &a) == nil {
			found = s.strange(r, "/audiences", domain.ResourceAudience, a.Audiences)
		}
	default:
	}
	return r.told(found)
}

// keyWarnings say which limits of a key name nothing.
func (s *Server) keyWarnings(r *request, k domain.APIKey) []ProblemField {
	found := append(s.strange(r, "/scenes", domain.ResourceScene, k.Scenes), s.strange(r, "/apps", domain.ResourceApp, k.Apps)...)
	if k.App != "" && !s.exists(r, domain.ResourceApp, k.App) {
		found = append(found, unknown("/app", domain.ResourceApp))
	}
	return r.told(found)
}

// strangeBound is how many names that stand for nothing are told of.
const strangeBound = 20

// strange finds names that stand for nothing yet. They are no errors: what they
// name may be written after what names it, as in a file with both.
func (s *Server) strange(r *request, pointer string, kind domain.ResourceKind, keys []string) (out []domain.FieldError) {
	for i, key := range keys {
		if !s.exists(r, kind, key) {
			if out = append(out, unknown(fmt.Sprintf("%s/%d", pointer, i), kind)); len(out) == strangeBound {
				break
			}
		}
	}
	return out
}

// exists reports whether a name stands for something, as far as can be told.
func (s *Server) exists(r *request, kind domain.ResourceKind, key string) bool {
	if s.cfg.Resources == nil {
		return true
	}
	_, err := s.cfg.Resources.GetResource(r.Context(), kind, key)
	return !missing(err)
}

// told gives findings their words in the caller's language.
func (r *request) told(found []domain.FieldError) []ProblemField {
	out := make([]ProblemField, len(found))
	for i, f := range found {
		out[i] = fieldText(r.language(), f)
	}
	return out
}

// unknown is the finding that a name stands for nothing; its texts are those of the code.
func unknown(pointer string, kind domain.ResourceKind) domain.FieldError {
	return domain.FieldError{Pointer: pointer, Code: "unknown_" + string(kind)}
}
