package httpapi

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"hongyan/internal/domain"
)

// readOnly are fields that an answer carries and a PUT ignores, so that what
// was read can be written back.
type readOnly struct {
	Version   json.RawMessage `json:"version,omitempty"`
	CreatedAt json.RawMessage `json:"created_at,omitempty"`
	UpdatedAt json.RawMessage `json:"updated_at,omitempty"`
	Secrets   json.RawMessage `json:"secrets,omitempty"`
	Health    json.RawMessage `json:"health,omitempty"`
	Warnings  json.RawMessage `json:"warnings,omitempty"`
}

// App is an application as it is written.
type appBody struct {
	domain.App
	Secret   *string       `json:"secret,omitempty" doc:"The app's secret in WeCom; write-only. Left out, the stored one stays; to keep it under another base_url or proxy takes the scope admin"`
	Callback *callbackBody `json:"callback,omitempty" doc:"Token and key of the app's callback; write-only"`
	readOnly
}

type callbackBody struct {
	Token  string `json:"token"`
	AESKey string `json:"aes_key" doc:"43 characters"`
}

type robotBody struct {
	domain.Robot
	WebhookKey *string `json:"webhook_key,omitempty" doc:"What follows key= in the robot's webhook address; write-only. Left out, the stored one stays"`
	readOnly
}

type audienceBody struct {
	domain.Audience
	readOnly
}

var (
	appShape      = shapeFor[appBody]()
	audienceShape = shapeFor[audienceBody]()
	robotShape    = shapeFor[robotBody]()
)

// Names of secrets in domain.Resource.Secrets.
const (
	secretApp           = "secret"
	secretCallbackToken = "callback_token"
	secretCallbackKey   = "callback_aes_key"
	secretWebhookKey    = "webhook_key"
)

const (
	maxKey  = 64 // longest key of a resource
	madeKey = 16 // length of one that is made here, 80 bits
)

// validKey reports whether s can be a resource's key: it stands in URLs, lane
// names and metrics.
func validKey(s string) bool {
	if s == "" || len(s) > maxKey {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return true
}

// pathKey takes the key from the path for writing, and the one in the body
// must agree. A POST has none in its path: it takes the body's or makes one.
func pathKey(r *request, body string) (string, error) {
	key := r.PathValue("key")
	if r.Method == http.MethodPost {
		if key = body; body == "" {
			key = strings.ToLower(rand.Text()[:madeKey])
		}
	}
	if !validKey(key) {
		return "", domain.Invalid(domain.FieldError{Pointer: "/key", Code: "key", Message: "is not a usable key", Fix: "use 1 to 64 of a–z, 0–9, dot, hyphen and underscore, beginning with a letter or digit"})
	}
	if body != "" && body != key {
		return "", domain.Invalid(domain.FieldError{Pointer: "/key", Code: "mismatch", Args: []any{key}, Message: "must be " + key + ", as in the path", Fix: "leave it out or make it equal"})
	}
	return key, nil
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// parseETags reads a list of entity tags made by etag; unknown ones are left
// out, and weak ones where the comparison is to be strong.
func parseETags(h string, strong bool) (versions []int64, star bool) {
	for t := range strings.SplitSeq(h, ",") {
		t = strings.TrimSpace(t)
		if t == "*" {
			return nil, true
		}
		if !strong {
			t = strings.TrimPrefix(t, "W/")
		}
		if len(t) < 3 || t[0] != '"' || t[len(t)-1] != '"' {
			continue
		}
		if v, err := strconv.ParseInt(t[1:len(t)-1], 10, 64); err == nil && v > 0 {
			versions = append(versions, v)
		}
	}
	return versions, false
}

// precondition reads If-Match and If-None-Match into the version that must be
// there: −1 any, 0 none. A POST to a collection creates.
func (s *Server) precondition(r *request, kind domain.ResourceKind, key string) (int64, error) {
	if r.Method == http.MethodPost && r.PathValue("key") == "" {
		return 0, nil
	}
	match := r.Header.Values("If-Match")
	if len(match) == 0 {
		if strings.TrimSpace(r.Header.Get("If-None-Match")) == "*" {
			return 0, nil
		}
		return -1, nil
	}
	// An empty one wants a condition and has lost it: nothing fulfils that.
	versions, star := parseETags(strings.Join(match, ","), true)
	if len(versions) == 1 {
		return versions[0], nil
	}
	if star || len(versions) > 1 {
		have, err := s.cfg.Resources.GetResource(r.Context(), kind, key)
		if err == nil && (star || slices.Contains(versions, have.Version)) {
			return have.Version, nil
		}
		if err != nil && !missing(err) {
			return 0, err
		}
	}
	return 0, &domain.Error{Code: domain.CodePreconditionFailed}
}

func missing(err error) bool {
	switch domain.CodeOf(err) {
	case domain.CodeNotFound, domain.CodeAppNotFound, domain.CodeSceneNotFound:
		return true
	default:
		return false
	}
}

// absent is the error for a resource that is not there, or not for the caller.
func absent(kind domain.ResourceKind, key string) error {
	switch kind {
	case domain.ResourceApp:
		return &domain.Error{Code: domain.CodeAppNotFound, Args: []any{key}}
	case domain.ResourceScene:
		return &domain.Error{Code: domain.CodeSceneNotFound, Args: []any{key}}
	default:
		return &domain.Error{Code: domain.CodeNotFound}
	}
}

// resourceView is the spec with what the server adds behind it.
func (s *Server) resourceView(r *request, res domain.Resource) (json.RawMessage, error) {
	more := map[string]any{"version": res.Version, "created_at": timeOrNil(res.CreatedAt), "updated_at": timeOrNil(res.UpdatedAt)}
	if res.Kind == domain.ResourceApp || res.Kind == domain.ResourceRobot {
		set := []string{}
		for name, v := range res.Secrets {
			if v != "" {
				set = append(set, name)
			}
		}
		slices.Sort(set)
		more["secrets"] = set
		if s.cfg.Apps != nil {
			sender := res.Key
			if res.Kind == domain.ResourceRobot {
				sender = domain.LaneKey(domain.LaneRobot, res.Key)
			}
			more["health"] = healthView(s.cfg.Apps.Health(sender), r.language())
		}
	}
	if res.Kind == domain.ResourceScene || res.Kind == domain.ResourceAudience {
		more["warnings"] = s.warnings(r, res.Kind, res.Spec)
	}
	tail, err := json.Marshal(more)
	if err != nil {
		return nil, err
	}
	spec := bytes.TrimSpace(res.Spec)
	if len(spec) < 2 || spec[0] != '{' || spec[len(spec)-1] != '}' {
		spec = []byte("{}")
	}
	out := append([]byte{}, spec[:len(spec)-1]...)
	if len(bytes.TrimSpace(spec[1:len(spec)-1])) > 0 {
		out = append(out, ',')
	}
	return append(out, tail[1:]...), nil
}

func getResource(kind domain.ResourceKind) handler {
	return func(s *Server, w http.ResponseWriter, r *request) error {
		if s.cfg.Resources == nil {
			return errNoService
		}
		key := r.PathValue("key")
		res, err := s.find(r, kind, key)
		if err != nil {
			return err
		}
		w.Header().Set("ETag", etag(res.Version))
		if versions, star := parseETags(r.Header.Get("If-None-Match"), false); star || slices.Contains(versions, res.Version) {
			if kind != domain.ResourceApp && kind != domain.ResourceRobot { // their health changes without their version
				w.WriteHeader(http.StatusNotModified)
				return nil
			}
		}
		v, err := s.resourceView(r, res)
		if err != nil {
			return err
		}
		return reply(w, http.StatusOK, v)
	}
}

func listResources(kind domain.ResourceKind) handler {
	return func(s *Server, w http.ResponseWriter, r *request) error {
		q := &r.query
		limit, after := q.limit(), q.after(string(kind))
		if err := q.err(); err != nil {
			return err
		}
		if s.cfg.Resources == nil {
			return errNoService
		}
		all, err := s.cfg.Resources.ListResources(r.Context(), kind)
		if err != nil {
			return err
		}
		sees, err := s.sight(r, kind)
		if err != nil {
			return err
		}
		items, next, lastKey := []json.RawMessage{}, "", ""
		for _, res := range all {
			if res.Key <= after || !sees(res) {
				continue
			}
			if len(items) == limit {
				next = mark(string(kind), lastKey)
				break
			}
			v, err := s.resourceView(r, res)
			if err != nil {
				return err
			}
			items, lastKey = append(items, v), res.Key
		}
		return reply(w, http.StatusOK, page(items, next))
	}
}

func putApp(s *Server, w http.ResponseWriter, r *request) error {
	var body appBody
	if err := s.decode(w, r, appShape, false, &body); err != nil {
		return err
	}
	key, err := pathKey(r, body.Key)
	if err != nil {
		return err
	}
	app := body.App
	app.Key = key
	spec, err := json.Marshal(app)
	if err != nil {
		return err
	}
	secrets := map[string]string{}
	if body.Secret != nil {
		if *body.Secret == "" {
			return domain.Invalid(domain.FieldError{Pointer: "/secret", Code: "required", Message: "is empty", Fix: "give the app's secret, or leave the field out to keep the stored one"})
		}
		secrets[secretApp] = *body.Secret
	}
	if body.Callback != nil {
		secrets[secretCallbackToken], secrets[secretCallbackKey] = body.Callback.Token, body.Callback.AESKey
	}
	return s.putResource(w, r, domain.Resource{Kind: domain.ResourceApp, Key: key, Spec: spec, Secrets: secrets})
}

func putRobot(s *Server, w http.ResponseWriter, r *request) error {
	var body robotBody
	if err := s.decode(w, r, robotShape, false, &body); err != nil {
		return err
	}
	key, err := pathKey(r, body.Key)
	if err != nil {
		return err
	}
	robot := body.Robot
	robot.Key = key
	spec, err := json.Marshal(robot)
	if err != nil {
		return err
	}
	secrets := map[string]string{}
	if body.WebhookKey != nil {
		if *body.WebhookKey == "" {
			return domain.Invalid(domain.FieldError{Pointer: "/webhook_key", Code: "required", Message: "is empty", Fix: "give the robot's key, or leave the field out to keep the stored one"})
		}
		secrets[secretWebhookKey] = *body.WebhookKey
	}
	return s.putResource(w, r, domain.Resource{Kind: domain.ResourceRobot, Key: key, Spec: spec, Secrets: secrets})
}

func putAudience(s *Server, w http.ResponseWriter, r *request) error {
	var body audienceBody
	if err := s.decode(w, r, audienceShape, false, &body); err != nil {
		return err
	}
	key, err := pathKey(r, body.Key)
	if err != nil {
		return err
	}
	a := body.Audience
	a.Key = key
	spec, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return s.putResource(w, r, domain.Resource{Kind: domain.ResourceAudience, Key: key, Spec: spec})
}

func (s *Server) putResource(w http.ResponseWriter, r *request, res domain.Resource) error {
	if s.cfg.Resources == nil {
		return errNoService
	}
	if _, err := s.mayChangeStored(r, res.Kind, res.Key); err != nil {
		return err
	}
	ifMatch, err := s.precondition(r, res.Kind, res.Key)
	if err != nil {
		return err
	}
	dry, err := r.dryRun()
	if err != nil {
		return err
	}
	seen, err := s.mayKeepSecret(r, res, ifMatch)
	if err != nil {
		return err
	}
	at, err := pinned(ifMatch, seen)
	if err != nil {
		return err
	}
	if dry {
		change, err := s.cfg.Resources.TryResource(r.Context(), res, at)
		if err != nil {
			return err
		}
		return s.replyChange(w, r, res.Kind, change)
	}
	stored, created, err := s.cfg.Resources.PutResource(r.Context(), res, at, r.caller.KeyID)
	if err != nil {
		return taken(r, res.Key, moved(ifMatch, seen, err))
	}
	return s.replyPut(w, r, stored, created)
}

func (s *Server) replyPut(w http.ResponseWriter, r *request, stored domain.Resource, created bool) error {
	v, err := s.resourceView(r, stored)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		w.Header().Set("Location", location(r, stored.Key))
	}
	w.Header().Set("ETag", etag(stored.Version))
	return reply(w, status, v)
}

// location is the path of a resource that was just made.
func location(r *request, key string) string {
	if r.Method == http.MethodPost {
		return r.URL.Path + "/" + key
	}
	return r.URL.Path
}

// taken says of a POST that its key is in use; of a PUT the client asked for
// the precondition that failed.
func taken(r *request, key string, err error) error {
	if r.Method == http.MethodPost && domain.CodeOf(err) == domain.CodePreconditionFailed {
		return domain.Errorf(domain.CodeConflict, "the key %q is taken; leave it out to get another, or PUT to replace what is there", key)
	}
	return err
}

func deleteResource(kind domain.ResourceKind) handler {
	return func(s *Server, w http.ResponseWriter, r *request) error {
		if s.cfg.Resources == nil {
			return errNoService
		}
		key := r.PathValue("key")
		if !validKey(key) {
			return absent(kind, cut(key, maxKey))
		}
		if r.caller.Limited() { // what it may not see is not there
			if _, err := s.find(r, kind, key); err != nil {
				return err
			}
		}
		seen, err := s.mayChangeStored(r, kind, key)
		if err != nil {
			return err
		}
		ifMatch, err := s.precondition(r, kind, key)
		if err != nil {
			return err
		}
		at, err := pinned(ifMatch, seen)
		if err != nil {
			return err
		}
		if err := s.cfg.Resources.DeleteResource(r.Context(), kind, key, at, r.caller.KeyID); err != nil {
			return moved(ifMatch, seen, err)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// asResource shows a scene version in the form of its resource.
func asResource(v domain.SceneVersion) (domain.Resource, error) {
	spec, err := json.Marshal(v.Scene)
	return domain.Resource{Kind: domain.ResourceScene, Key: v.Key, Version: int64(v.Version), Spec: spec, UpdatedAt: v.CreatedAt, CreatedAt: time.Time{}}, err
}
