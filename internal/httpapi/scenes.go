package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"hongyan/internal/domain"
)

type sceneBody struct {
	domain.Scene
	readOnly
}

type previewRequest struct {
	Data    json.RawMessage `json:"data,omitempty" doc:"What the variables hold"`
	Version int             `json:"version,omitempty" doc:"A version to render; default the live one"`
	Draft   *sceneBody      `json:"draft,omitempty" doc:"A whole scene to render instead"`
	To      domain.To       `json:"to,omitzero" doc:"Recipients, instead of the scene's"`
}

type rollbackRequest struct {
	Version int `json:"version"`
}

var (
	sceneShape    = shapeFor[sceneBody]()
	previewShape  = shapeFor[previewRequest]()
	rollbackShape = shapeFor[rollbackRequest]()
)

// SceneVersion is one line of a scene's history.
type SceneVersion struct {
	Version   int        `json:"version"`
	CreatedAt *time.Time `json:"created_at"`
	By        string     `json:"by" doc:"Id of the key that made it"`
	Reason    string     `json:"reason"`
	Live      bool       `json:"live"`
}

func putScene(s *Server, w http.ResponseWriter, r *request) error {
	var body sceneBody
	if err := s.decode(w, r, sceneShape, false, &body); err != nil {
		return err
	}
	key, err := pathKey(r, body.Key)
	if err != nil {
		return err
	}
	if s.cfg.Scenes == nil || s.cfg.Resources == nil {
		return errNoService
	}
	if err := mayChangeScene(r.caller, key, body.App, body.To.Robots); err != nil {
		return err
	}
	seen, err := s.mayChangeStored(r, domain.ResourceScene, key)
	if err != nil {
		return err
	}
	ifMatch, err := s.precondition(r, domain.ResourceScene, key)
	if err != nil {
		return err
	}
	at, err := pinned(ifMatch, seen)
	if err != nil {
		return taken(r, key, err)
	}
	sc := body.Scene
	sc.Key = key
	dropNull(&sc.Variables, &sc.Content)
	if d := sc.Policy.Digest; d != nil {
		dropNull(&d.Content)
	}
	dry, err := r.dryRun()
	if err != nil {
		return err
	}
	if dry {
		change, err := s.cfg.Scenes.TryScene(r.Context(), sc, at)
		if err != nil {
			return moved(ifMatch, seen, err)
		}
		return s.replyChange(w, r, domain.ResourceScene, change)
	}
	v, created, err := s.cfg.Scenes.PutScene(r.Context(), sc, at, r.caller.KeyID)
	if err != nil {
		return taken(r, key, moved(ifMatch, seen, err))
	}
	return s.replyScene(w, r, v, created)
}

// replyScene answers with the scene as a GET would show it.
func (s *Server) replyScene(w http.ResponseWriter, r *request, v domain.SceneVersion, created bool) error {
	res, err := s.cfg.Resources.GetResource(r.Context(), domain.ResourceScene, v.Key)
	if err != nil || res.Version != int64(v.Version) { // gone or changed meanwhile: show what was made
		if res, err = asResource(v); err != nil {
			return err
		}
	}
	return s.replyPut(w, r, res, created)
}

// sceneKey is the scene in the path, unless the caller may not see it. It need
// not be there: the draft of a new one can be previewed.
func (s *Server) sceneKey(r *request) (string, error) {
	if s.cfg.Scenes == nil || s.cfg.Resources == nil {
		return "", errNoService
	}
	key := r.PathValue("key")
	if !validKey(key) || !r.caller.AllowsScene(key) {
		return "", absent(domain.ResourceScene, cut(key, maxKey))
	}
	res, err := s.cfg.Resources.GetResource(r.Context(), domain.ResourceScene, key)
	switch {
	case !r.caller.Limited() || missing(err):
		return key, nil
	case err != nil:
		return "", err
	}
	if sees, err := s.sight(r, domain.ResourceScene); err != nil || !sees(res) {
		return "", absent(domain.ResourceScene, key)
	}
	return key, nil
}

func listSceneVersions(s *Server, w http.ResponseWriter, r *request) error {
	q := &r.query
	limit, cursor := q.limit(), q.after("versions")
	if err := q.err(); err != nil {
		return err
	}
	key, err := s.sceneKey(r)
	if err != nil {
		return err
	}
	versions, next, err := s.cfg.Scenes.ListSceneVersions(r.Context(), key, limit, cursor)
	if err != nil {
		return err
	}
	if len(versions) == 0 && cursor == "" {
		return absent(domain.ResourceScene, key)
	}
	items := make([]SceneVersion, 0, len(versions))
	for _, v := range versions {
		items = append(items, SceneVersion{Version: v.Version, CreatedAt: timeOrNil(v.CreatedAt), By: v.By, Reason: v.Reason, Live: v.Live})
	}
	return reply(w, http.StatusOK, page(items, mark("versions", next)))
}

func getSceneVersion(s *Server, w http.ResponseWriter, r *request) error {
	key, err := s.sceneKey(r)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(r.PathValue("version"))
	if err != nil || n < 1 {
		return &domain.Error{Code: domain.CodeNotFound}
	}
	v, err := s.cfg.Scenes.GetSceneVersion(r.Context(), key, n)
	if err != nil {
		return err
	}
	if !r.caller.AllowsSceneOf(key, v.Scene.App) { // it belonged to another app then
		return &domain.Error{Code: domain.CodeNotFound}
	}
	res, err := asResource(v)
	if err != nil {
		return err
	}
	res.CreatedAt = v.CreatedAt
	view, err := s.resourceView(r, res)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, view)
}

func rollbackScene(s *Server, w http.ResponseWriter, r *request) error {
	var req rollbackRequest
	if err := s.decode(w, r, rollbackShape, false, &req); err != nil {
		return err
	}
	key, err := s.sceneKey(r)
	if err != nil {
		return err
	}
	if req.Version < 1 {
		return domain.Invalid(domain.FieldError{Pointer: "/version", Code: "required", Message: "is missing", Fix: "name a version; GET the scene's versions for a list"})
	}
	seen, err := s.mayChangeStored(r, domain.ResourceScene, key)
	if err != nil {
		return err
	}
	if len(r.caller.Apps) > 0 {
		old, err := s.cfg.Scenes.GetSceneVersion(r.Context(), key, req.Version)
		if err != nil {
			return err
		}
		if err := mayChangeScene(r.caller, key, old.Scene.App, old.Scene.To.Robots); err != nil {
			return err
		}
	}
	ifMatch, err := s.precondition(r, domain.ResourceScene, key)
	if err != nil {
		return err
	}
	at, err := pinned(ifMatch, seen)
	if err != nil {
		return err
	}
	v, err := s.cfg.Scenes.RollbackScene(r.Context(), key, req.Version, at, r.caller.KeyID)
	if err != nil {
		return moved(ifMatch, seen, err)
	}
	return s.replyScene(w, r, v, false)
}

func previewScene(s *Server, w http.ResponseWriter, r *request) error {
	var req previewRequest
	if err := s.decode(w, r, previewShape, false, &req); err != nil {
		return err
	}
	key, err := s.sceneKey(r)
	if err != nil {
		return err
	}
	dropNull(&req.Data)
	p := ScenePreview{Data: req.Data, Version: req.Version, To: req.To}
	if req.Version < 0 {
		return domain.Invalid(domain.FieldError{Pointer: "/version", Code: "minimum", Args: []any{1}, Message: "must be at least 1", Fix: "name a version"})
	}
	if req.Draft != nil {
		if req.Version != 0 {
			return domain.Invalid(domain.FieldError{Pointer: "/draft", Code: "exclusive", Args: []any{"version"}, Message: "cannot stand together with version", Fix: "keep one of them"})
		}
		d := req.Draft.Scene
		d.Key = key
		dropNull(&d.Variables, &d.Content)
		p.Draft = &d
	}
	plan, err := s.cfg.Scenes.PreviewScene(r.Context(), r.caller, key, p)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, dryRunView(plan, r.language()))
}
