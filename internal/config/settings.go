package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// EnvPrefix starts the name of every environment variable that is read.
const EnvPrefix = "HONGYAN_"

// Setting describes one key for help texts, completion and the reference in
// docs/operations.md.
type Setting struct {
	Key     string // in the file: log_level
	Env     string // HONGYAN_LOG_LEVEL
	Default string // as documented; "" when there is none
	Secret  bool   // has a _FILE twin and is masked when printed
	Help    string // one line

	parse func(*Config, string) error
	value func(Config) string // clear text
}

// Settings lists every setting in the order of the documentation.
func Settings() []Setting {
	all := []Setting{
		{
			Key: "listen", Default: "127.0.0.1:8420", Help: "address of API, console and callbacks",
			parse: func(c *Config, s string) error { return address(&c.Listen, s) },
			value: func(c Config) string { return c.Listen },
		},
		{
			Key: "ops_listen", Default: "127.0.0.1:8422", Help: "address of /metrics and /debug/pprof; off disables",
			parse: func(c *Config, s string) error {
				if s == "off" {
					c.OpsListen = ""
					return nil
				}
				return address(&c.OpsListen, s)
			},
			value: func(c Config) string {
				if c.OpsListen == "" {
					return "off"
				}
				return c.OpsListen
			},
		},
		{
			Key: "sandbox_listen", Default: "127.0.0.1:8421", Help: "address of the sandbox (dev and sandbox only)",
			parse: func(c *Config, s string) error { return address(&c.SandboxListen, s) },
			value: func(c Config) string { return c.SandboxListen },
		},
		{
			Key: "data_dir", Default: "./hongyan-data", Help: "directory of the SQLite file, media and the master key",
			parse: func(c *Config, s string) error { return notEmpty(&c.DataDir, s) },
			value: func(c Config) string { return c.DataDir },
		},
		{
			Key: "database_url", Default: "sqlite://<data_dir>/hongyan.db", Secret: true, Help: "sqlite://path or postgres://user:password@host/name",
			parse: func(c *Config, s string) error {
				return secretURL(&c.DatabaseURL, s, "sqlite", "postgres", "postgresql")
			},
			value: func(c Config) string { return c.DatabaseURL.Reveal() },
		},
		{
			Key: "public_url", Default: "http://<listen>", Help: "how others reach this gateway; used in links and callback URLs",
			parse: func(c *Config, s string) error { return webURL(&c.PublicURL, s) },
			value: func(c Config) string { return c.PublicURL },
		},
		{
			Key: "master_key", Secret: true, Help: "32 bytes in base64, or lines id:base64; created in data_dir when not given",
			parse: func(c *Config, s string) error { c.MasterKey = Secret(s); return checkMasterKey(s) },
			value: func(c Config) string { return c.MasterKey.Reveal() },
		},
		{
			Key: "admin_key", Secret: true, Help: "imported as an API key of scope admin, at every start that finds it new; to change it, start with another and revoke the old one",
			parse: func(c *Config, s string) error {
				c.AdminKey = Secret(s)
				if !importedKey.MatchString(s) {
					return errors.New("must be hy_ and at least 32 characters of A-Z a-z 0-9 - _ . ~")
				}
				return nil
			},
			value: func(c Config) string { return c.AdminKey.Reveal() },
		},
		{
			Key: "egress_allow", Help: "comma-separated private networks that webhooks and media downloads may reach",
			parse: func(c *Config, s string) error { return prefixes(&c.EgressAllow, s) },
			value: func(c Config) string {
				out := make([]string, len(c.EgressAllow))
				for i, p := range c.EgressAllow {
					out[i] = p.String()
				}
				return strings.Join(out, ",")
			},
		},
		{
			Key: "redis_url", Secret: true, Help: "shares access tokens with other programs through this Redis",
			parse: func(c *Config, s string) error { return secretURL(&c.RedisURL, s, "redis", "rediss", "unix") },
			value: func(c Config) string { return c.RedisURL.Reveal() },
		},
		{
			Key: "log_level", Default: "info", Help: "debug, info, warn or error",
			parse: func(c *Config, s string) error {
				if c.LogLevel.UnmarshalText([]byte(s)) != nil {
					return errors.New("must be debug, info, warn or error")
				}
				return nil
			},
			value: func(c Config) string { return strings.ToLower(c.LogLevel.String()) },
		},
		{
			Key: "log_format", Default: "", Help: "text or json; without it text on a terminal, else json",
			parse: func(c *Config, s string) error {
				c.LogFormat = s
				if s != "text" && s != "json" {
					return errors.New("must be text or json")
				}
				return nil
			},
			value: func(c Config) string { return c.LogFormat },
		},
		{
			Key: "node", Help: "name of this process among others on one database",
			parse: func(c *Config, s string) error {
				c.Node = s
				if !nodeName.MatchString(s) {
					return errors.New("must be 1 to 64 characters of A-Z a-z 0-9 . - _")
				}
				return nil
			},
			value: func(c Config) string { return c.Node },
		},
		{
			Key: "url", Default: "http://127.0.0.1:8420", Help: "where the client commands talk to",
			parse: func(c *Config, s string) error { return webURL(&c.URL, s) },
			value: func(c Config) string { return c.URL },
		},
		{
			Key: "key", Secret: true, Help: "the API key of the client commands",
			parse: func(c *Config, s string) error { c.Key = Secret(s); return nil },
			value: func(c Config) string { return c.Key.Reveal() },
		},
	}
	for i := range all {
		all[i].Env = EnvPrefix + strings.ToUpper(all[i].Key)
	}
	return all
}

var (
	importedKey = regexp.MustCompile(`^hy_[A-Za-z0-9._~-]{32,}$`)
	nodeName    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	ringID      = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

func notEmpty(dst *string, s string) error {
	*dst = s
	if s == "" {
		return errors.New("must not be empty")
	}
	return nil
}

func address(dst *string, s string) error {
	*dst = s
	_, port, err := net.SplitHostPort(s)
	if err != nil || port == "" {
		return errors.New("must be host:port, such as 127.0.0.1:8420 or :8420")
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("%q is not a port", port)
	}
	return nil
}

// webURL accepts http and https without query, so that paths can be appended.
func webURL(dst *string, s string) error {
	*dst = strings.TrimRight(s, "/")
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return errors.New("must be http://host[:port][/path] or https://…, without user, query or fragment")
	}
	return nil
}

// secretURL never repeats the value in its error: a URL may carry a password.
func secretURL(dst *Secret, s string, schemes ...string) error {
	*dst = Secret(s)
	for _, scheme := range schemes {
		rest, ok := strings.CutPrefix(s, scheme+"://")
		if !ok {
			continue
		}
		if rest == "" {
			return fmt.Errorf("nothing stands after %s://", scheme)
		}
		if scheme != "sqlite" {
			if _, err := url.Parse(s); err != nil {
				return errors.New("is not a well-formed URL (a password with special characters must be percent-encoded)")
			}
		}
		return nil
	}
	return fmt.Errorf("must start with %s://", strings.Join(schemes, ":// or "))
}

func prefixes(dst *[]netip.Prefix, s string) error {
	*dst = nil
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			a, aerr := netip.ParseAddr(part)
			if aerr != nil {
				return fmt.Errorf("%q is not a network such as 10.1.0.0/16", part)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		*dst = append(*dst, p.Masked())
	}
	return nil
}

// checkMasterKey checks the form as internal/seal reads it, which must not find
// at the start what was called good here: one key, or a ring of lines id:base64.
func checkMasterKey(s string) error {
	const most = 64
	seen := map[string]bool{}
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, b64, isRing := strings.Cut(line, ":")
		switch {
		case !isRing && len(seen) > 0:
			return errors.New("every line of a ring must be id:base64")
		case !isRing:
			id, b64 = "k1", line
		case !ringID.MatchString(id):
			return errors.New("a ring id must be 1 to 64 letters, digits, hyphens and underscores")
		}
		if seen[id] {
			return errors.New("two keys of the ring have the same id")
		}
		if seen[id] = true; len(seen) > most {
			return fmt.Errorf("the ring has more than %d keys", most)
		}
		if !decodes32(strings.TrimSpace(b64)) {
			return errors.New("must be 32 bytes in base64 (make one with: openssl rand -base64 32)")
		}
	}
	if len(seen) == 0 {
		return errors.New("holds no key")
	}
	return nil
}

func decodes32(s string) bool {
	s = strings.TrimRight(s, "=")
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := enc.DecodeString(s); err == nil && len(b) == 32 {
			return true
		}
	}
	return false
}
