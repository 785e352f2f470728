package cli

import (
	"strconv"
	"strings"

	"hongyan/client"
)

type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Make an API key. It is shown once."`
	List   keyListCmd   `cmd:"" help:"List the API keys."`
	Revoke keyRevokeCmd `cmd:"" help:"End an API key."`
}

type keyCreateCmd struct {
	Name      string   `arg:"" help:"Who uses it."`
	Scope     []string `required:"" help:"send, read, operate, configure, admin."`
	Scene     []string `placeholder:"KEY,…" help:"Only these scenes."`
	App       []string `placeholder:"KEY,…" help:"Only these apps."`
	Network   []string `placeholder:"CIDR,…" help:"Only from these networks."`
	Expires   string   `placeholder:"TIME" help:"Until this time (RFC 3339)."`
	PerMinute int      `placeholder:"N" help:"At most so many requests a minute; a batch counts its messages."`
	Bind      string   `placeholder:"APP" help:"Make it a corpsecret of this app for clients that speak WeCom's own API."`
}

// Run makes the key and prints it alone on standard output.
func (c *keyCreateCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	req := client.KeyRequest{
		Name: c.Name, Scopes: c.Scope, Scenes: c.Scene, Apps: c.App, Networks: c.Network, ExpiresAt: c.Expires, App: c.Bind,
	}
	if c.PerMinute != 0 {
		req.Rate = &client.KeyRate{PerMinute: c.PerMinute}
	}
	k, err := api.CreateKey(s.ctx, req)
	if err != nil {
		return err
	}
	if s.root.JSON {
		return s.printJSON(k)
	}
	for _, w := range k.Warnings {
		s.sayf("warning: %s: %s", clean(w.Pointer), clean(w.Message+" → "+w.Fix))
	}
	s.notef("%s (%s): keep the key, it is not shown again", clean(k.ID), clean(k.Name))
	return s.printf("%s\n", clean(k.Key))
}

type keyListCmd struct{}

// Run lists the keys.
func (c *keyListCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	keys, err := api.Keys(s.ctx)
	if err != nil {
		return err
	}
	if s.root.JSON {
		return s.printJSON(map[string]any{"items": append([]client.Key{}, keys...)})
	}
	rows := make([][]string, len(keys))
	for i, k := range keys {
		perMinute := "-"
		if k.Rate != nil {
			perMinute = strconv.Itoa(k.Rate.PerMinute)
		}
		rows[i] = []string{
			k.ID, k.Name, k.Prefix, strings.Join(k.Scopes, ","), perMinute, firstOf(shortTime(k.LastUsedAt), "-"),
			firstOf(shortTime(k.ExpiresAt), "-"), shortTime(k.RevokedAt),
		}
	}
	return s.table([]string{"ID", "NAME", "PREFIX", "SCOPES", "PER MINUTE", "LAST USED", "EXPIRES", "REVOKED"}, rows)
}

type keyRevokeCmd struct {
	ID  string `arg:"" help:"Id of the key: key_…"`
	Yes bool   `short:"y" help:"Do not ask."`
}

// Run revokes the key.
func (c *keyRevokeCmd) Run(s *session) error {
	if err := s.confirm(c.Yes, "Revoke %s?", c.ID); err != nil {
		return err
	}
	api, err := s.api()
	if err != nil {
		return err
	}
	if err := api.RevokeKey(s.ctx, c.ID); err != nil {
		return err
	}
	return s.acted(nil, nil, c.ID+" revoked")
}
