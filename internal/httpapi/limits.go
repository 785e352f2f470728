package httpapi

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"hongyan/internal/domain"
)

// A key that is limited to scenes or apps sees what its messages can use:
// scenes that it may use and that name no other app, its apps (without a limit
// to apps, those that these scenes name), and the audiences of these scenes.
// Nothing else is there for it; see sight. It may change only what is of them
// alone. A route says with its field limited that its handler sees to that; on
// every other one such a key may only read, so that a new route is closed to
// it until somebody has thought about it. docs/keys.md has the table.

// sight tells which resources of a kind the caller may see.
func (s *Server) sight(r *request, kind domain.ResourceKind) (func(domain.Resource) bool, error) {
	c := r.caller
	switch {
	case !c.Limited():
		return func(domain.Resource) bool { return true }, nil
	case kind == domain.ResourceScene:
		return func(res domain.Resource) bool {
			var sc domain.Scene
			return json.Unmarshal(res.Spec, &sc) == nil && c.AllowsSceneOf(res.Key, sc.App)
		}, nil
	case kind == domain.ResourceApp && len(c.Apps) > 0:
		return func(res domain.Resource) bool { return c.AllowsApp(res.Key) }, nil
	case kind != domain.ResourceApp && kind != domain.ResourceAudience:
		return func(domain.Resource) bool { return false }, nil
	}
	all, err := s.cfg.Resources.ListResources(r.Context(), domain.ResourceScene)
	if err != nil {
		return nil, err
	}
	apps, audiences := map[string]bool{}, map[string]bool{}
	for _, res := range all {
		var sc domain.Scene
		if json.Unmarshal(res.Spec, &sc) != nil || !c.AllowsSceneOf(res.Key, sc.App) {
			continue
		}
		apps[sc.App] = true
		if kind == domain.ResourceAudience {
			if err := s.reach(r, sc.To.Audiences, audiences); err != nil {
				return nil, err
			}
		}
	}
	if kind == domain.ResourceApp {
		return func(res domain.Resource) bool { return apps[res.Key] }, nil
	}
	return func(res domain.Resource) bool { return audiences[res.Key] }, nil
}

// reach adds audiences and those that they contain.
func (s *Server) reach(r *request, keys []string, to map[string]bool) error {
	for _, key := range keys {
		if to[key] {
			continue
		}
		to[key] = true
		res, err := s.cfg.Resources.GetResource(r.Context(), domain.ResourceAudience, key)
		var a domain.Audience
		switch {
		case missing(err):
			continue
		case err != nil:
			return err
		case json.Unmarshal(res.Spec, &a) != nil:
			continue
		}
		if err := s.reach(r, a.Audiences, to); err != nil {
			return err
		}
	}
	return nil
}

// find returns a resource that is there for the caller.
func (s *Server) find(r *request, kind domain.ResourceKind, key string) (domain.Resource, error) {
	switch {
	case s.cfg.Resources == nil:
		return domain.Resource{}, errNoService
	case !validKey(key):
		return domain.Resource{}, absent(kind, cut(key, maxKey))
	}
	res, err := s.cfg.Resources.GetResource(r.Context(), kind, key)
	if err != nil {
		return domain.Resource{}, err
	}
	sees, err := s.sight(r, kind)
	if err == nil && !sees(res) {
		err = absent(kind, key)
	}
	return res, err
}

// mayUseRoute refuses changes of what belongs to more than a scene or an app.
func mayUseRoute(c domain.Caller, rt *route) error {
	if c.Limited() && !rt.reads() && !rt.limited {
		return domain.Errorf(domain.CodeForbidden, "this key is limited to some scenes or apps, and this belongs to none of them alone")
	}
	return nil
}

// mayChangeApp checks an app that the caller may see. All scenes share an app,
// so a key that is limited to scenes must not touch it.
func mayChangeApp(c domain.Caller, key string) error {
	if len(c.Scenes) > 0 {
		return domain.Errorf(domain.CodeForbidden, "this key is limited to scenes, and an app belongs to more than those")
	}
	if !c.AllowsApp(key) {
		return domain.Errorf(domain.CodeForbidden, "this key is limited to other apps")
	}
	return nil
}

// mayChangeScene checks the key and the app and robots that a scene has or gets.
// A scene without an app may take any, and so is for keys that may use all;
// robots belong to no app.
func mayChangeScene(c domain.Caller, key, app string, robots []string) error {
	switch {
	case !c.AllowsScene(key):
		return domain.Errorf(domain.CodeForbidden, "this key is limited to other scenes")
	case len(c.Apps) > 0 && len(robots) > 0:
		return domain.Errorf(domain.CodeForbidden, "this key is limited to apps, and the scene names robots")
	case c.AllowsApp(app):
		return nil
	case app == "":
		return domain.Errorf(domain.CodeForbidden, "this key is limited to apps, and the scene names none")
	default:
		return domain.Errorf(domain.CodeForbidden, "this key is limited to other apps than that of the scene")
	}
}

// mayChangeStored checks the stored resource, if there is one, and returns the
// version that was looked at: the change must be of that one. −1 when nothing
// had to be looked at.
func (s *Server) mayChangeStored(r *request, kind domain.ResourceKind, key string) (int64, error) {
	switch {
	case !r.caller.Limited():
		return -1, nil
	case kind == domain.ResourceApp:
		return -1, mayChangeApp(r.caller, key)
	case kind != domain.ResourceScene:
		return -1, domain.Errorf(domain.CodeForbidden, "this key is limited to some scenes or apps, and this belongs to none of them alone")
	}
	have, err := s.cfg.Resources.GetResource(r.Context(), kind, key)
	switch {
	case missing(err) && r.caller.AllowsScene(key):
		return 0, nil
	case missing(err):
		return 0, mayChangeScene(r.caller, key, "", nil)
	case err != nil:
		return 0, err
	}
	var sc domain.Scene
	if err := json.Unmarshal(have.Spec, &sc); err != nil {
		return 0, err
	}
	return have.Version, mayChangeScene(r.caller, key, sc.App, sc.To.Robots)
}

// outbound names, for the kinds that have one, the secret that goes to the
// resource's base_url, through its proxy.
var outbound = map[domain.ResourceKind]string{domain.ResourceApp: secretApp, domain.ResourceRobot: secretWebhookKey}

// mayKeepSecret refuses to send a stored secret somewhere else: whoever names
// the host reads it there. It returns the version that was looked at, which the
// change must be of; −1 when nothing had to be looked at.
func (s *Server) mayKeepSecret(r *request, res domain.Resource, ifMatch int64) (int64, error) {
	secret := outbound[res.Kind]
	if secret == "" || res.Secrets[secret] != "" || ifMatch == 0 || r.caller.Can(domain.ScopeAdmin) {
		return -1, nil
	}
	have, err := s.cfg.Resources.GetResource(r.Context(), res.Kind, res.Key)
	if missing(err) {
		return 0, nil
	}
	if err == nil && goesTo(have.Spec) != goesTo(res.Spec) {
		err = domain.Invalid(domain.FieldError{
			Pointer: "/" + secret, Code: "secret_moves", Message: "is kept, and base_url or proxy would send it somewhere else", Fix: "give the secret anew, or use a key of scope admin",
		})
	}
	return have.Version, err
}

// goesTo tells where calls of an app or a robot go, and through what. Of a
// proxy the user does not count.
func goesTo(spec json.RawMessage) (to [2]string) {
	var at struct {
		BaseURL string `json:"base_url"`
		Proxy   string `json:"proxy"`
	}
	if json.Unmarshal(spec, &at) != nil {
		return to // what cannot be read is not stored
	}
	for i, text := range []string{cmp.Or(at.BaseURL, "https://qyapi.weixin.qq.com"), at.Proxy} {
		to[i] = text
		if u, err := url.Parse(text); err == nil {
			port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443", "socks5": "1080"}[u.Scheme])
			to[i] = u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port + strings.TrimRight(u.EscapedPath(), "/")
		}
	}
	return to
}

// pinned joins what the client demands with the version that was looked at.
func pinned(ifMatch, seen int64) (int64, error) {
	switch {
	case ifMatch < 0:
		return seen, nil
	case seen >= 0 && seen != ifMatch:
		return 0, &domain.Error{Code: domain.CodePreconditionFailed}
	default:
		return ifMatch, nil
	}
}

// moved says of a change that the client made without a condition that
// somebody else was faster.
func moved(ifMatch, seen int64, err error) error {
	if ifMatch < 0 && seen >= 0 && domain.CodeOf(err) == domain.CodePreconditionFailed {
		return domain.Errorf(domain.CodeConflict, "it was changed a moment ago; repeat the request")
	}
	return err
}

// seesKey reports whether a key is limited as the one that asks.
func seesKey(c domain.Caller, k domain.APIKey) bool {
	return (len(c.Scenes) == 0 || within(k.Scenes, c.Scenes)) && (len(c.Apps) == 0 || within(k.Apps, c.Apps))
}

// mayGrant refuses a key that may do more than the one that makes or revokes
// it. An expiry and a rate are no part of what a key may do: an administrator
// replaces keys before they expire.
func mayGrant(c domain.Caller, k domain.APIKey) error {
	switch {
	case len(c.Scenes) > 0 && !within(k.Scenes, c.Scenes):
		return domain.Errorf(domain.CodeForbidden, "this key is limited to scenes, and the other is not limited to some of them")
	case len(c.Apps) > 0 && !within(k.Apps, c.Apps), k.App != "" && !c.AllowsApp(k.App):
		return domain.Errorf(domain.CodeForbidden, "this key is limited to apps, and the other is not limited to some of them")
	case len(c.Networks) > 0 && !insideNetworks(k.Networks, c.Networks):
		return domain.Errorf(domain.CodeForbidden, "this key is limited to networks, and the other is not limited to parts of them")
	}
	return nil
}

// within reports whether list is a limit that is not wider than most.
func within(list, most []string) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(v string) bool { return !slices.Contains(most, v) })
}

func insideNetworks(list, most []string) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(v string) bool {
		inner, ok := network(v)
		return !ok || !slices.ContainsFunc(most, func(m string) bool {
			outer, ok := network(m)
			return ok && outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
		})
	})
}

// network reads a CIDR or a single address.
func network(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen()), true
}
