package catalog

import (
	"context"
	"fmt"
	"strings"

	"hongyan/internal/domain"
)

const defaultBaseURL = "https://qyapi.weixin.qq.com"

// identity is what WeCom knows an app by.
func identity(a domain.App) string {
	base := strings.TrimRight(a.BaseURL, "/")
	if base == "" {
		base = defaultBaseURL
	}
	return fmt.Sprintf("%s %d %s", a.CorpID, a.AgentID, base)
}

// twins groups the keys of apps that are one and the same at WeCom, by key.
func (s *snapshot) twins() [][]string {
	groups := map[string][]string{}
	for _, a := range s.appList {
		groups[identity(a)] = append(groups[identity(a)], a.Key)
	}
	var out [][]string
	for _, a := range s.appList { // in the order of their first
		if g := groups[identity(a)]; len(g) > 1 && g[0] == a.Key {
			out = append(out, g)
		}
	}
	return out
}

// WarnTwins logs which apps are one and the same at WeCom; with a key, only
// those that are the same as that one. Nothing is wrong with them but that
// each counts WeCom's limits alone.
func (c *Catalog) WarnTwins(ctx context.Context, key string) {
	for _, g := range c.live.Load().twins() {
		for _, k := range g {
			if key == "" || k == key {
				c.cfg.Log.WarnContext(ctx, "these apps are one at WeCom, which counts its limits for them together: keep one, or give each a part of the limits", "apps", strings.Join(g, ", "))
				break
			}
		}
	}
}
