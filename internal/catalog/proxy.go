package catalog

import (
	"encoding/json"
	"maps"
	"strings"

	"hongyan/internal/domain"
)

const (
	// secretProxy is the password of an app's proxy, as it stands in the URL.
	secretProxy = "proxy_password"
	// mask stands for it in the stored URL. A password that really is *** is
	// written %2A%2A%2A.
	mask = "***"
)

// splitProxy takes the password out of a proxy URL. It works on the text, so
// that the URL can be put together again byte for byte.
func splitProxy(raw string) (masked, password string) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return raw, ""
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 {
		return raw, ""
	}
	user, password, ok := strings.Cut(rest[:at], ":")
	if !ok || password == "" {
		return raw, ""
	}
	return scheme + "://" + user + ":" + mask + rest[at:], password
}

// joinProxy is the URL that is used, from the stored one and the password.
func joinProxy(masked, password string) string {
	if m, p := splitProxy(masked); isMask(p) && password != "" {
		i := strings.Index(m, ":"+mask+"@") + 1
		return m[:i] + password + m[i+len(mask):]
	}
	return masked
}

func isMask(s string) bool { return s == mask }

// sealProxy moves the password of a proxy from the spec of an app or a robot to
// its secrets. A masked one keeps what is stored, for the same URL only: nobody
// may send a password that he does not know to another host.
func (c *Catalog) sealProxy(r domain.Resource) (domain.Resource, []domain.FieldError) {
	proxy, takes := proxyOf(r.Kind, r.Spec)
	if !takes {
		return r, nil // validate says what is wrong with it
	}
	masked, password := splitProxy(proxy)
	if isMask(password) {
		stored := c.live.Load().resources[r.Kind][r.Key]
		have, _ := proxyOf(r.Kind, stored.Spec)
		if password = stored.Secrets[secretProxy]; password == "" || have != proxy {
			return r, []domain.FieldError{bad("/proxy", "proxy_password", "has a masked password, and none is stored for this URL", "give the password: *** keeps the stored one while scheme, user and host stay as they are")}
		}
	}
	return withProxy(r, masked, password), nil
}

// proxyOf reads the proxy of an app or a robot; takes is false for what is
// neither.
func proxyOf(kind domain.ResourceKind, spec json.RawMessage) (proxy string, takes bool) {
	switch kind {
	case domain.ResourceApp:
		var a domain.App
		takes = decode(spec, &a) == nil
		return a.Proxy, takes
	case domain.ResourceRobot:
		var b domain.Robot
		takes = decode(spec, &b) == nil
		return b.Proxy, takes
	default:
		return "", false
	}
}

// keepsProxyPassword reports whether an app or a robot is to go on with the
// stored one.
func keepsProxyPassword(r domain.Resource) bool {
	proxy, _ := proxyOf(r.Kind, r.Spec)
	_, password := splitProxy(proxy)
	return isMask(password)
}

// withProxy names the password also when there is none, so that the store
// forgets an old one.
func withProxy(r domain.Resource, masked, password string) domain.Resource {
	switch r.Kind {
	case domain.ResourceApp:
		var a domain.App
		_ = decode(r.Spec, &a) // proxyOf has read it
		a.Proxy = masked
		r.Spec = encode(a)
	case domain.ResourceRobot:
		var b domain.Robot
		_ = decode(r.Spec, &b)
		b.Proxy = masked
		r.Spec = encode(b)
	default:
	}
	r.Secrets = maps.Clone(r.Secrets)
	if r.Secrets == nil {
		r.Secrets = map[string]string{}
	}
	r.Secrets[secretProxy] = password
	return r
}
