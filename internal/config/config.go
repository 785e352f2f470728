// Package config reads the boot settings: flags, then environment, then a YAML
// file, then defaults. An unknown key or a bad value is an error that names
// its file, line and key, so that a typing mistake stops the start instead of
// being ignored. What can change while the gateway runs (apps, scenes,
// audiences) is not here but in the store.
package config

import (
	"log/slog"
	"net/netip"
)

// Secret is a value that prints as stars, also inside structs and logs. The
// zero value means "not set".
type Secret string

// Reveal returns the clear text. Never log it.
func (s Secret) Reveal() string { return string(s) }

// Set reports whether there is a value.
func (s Secret) Set() bool { return s != "" }

// String masks the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "********"
}

// GoString masks the value for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText masks the value in JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue masks the value in logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Config is everything a process must know to start. Values come validated
// from [Load]; it is plain data and safe to copy.
type Config struct {
	Listen        string // host:port of API, console and callbacks
	OpsListen     string // host:port of metrics and profiles; empty when off
	SandboxListen string // host:port of the sandbox; only dev and sandbox use it

	DataDir     string // SQLite file, media, master key if none is given
	DatabaseURL Secret // sqlite://path or postgres://…; never empty
	PublicURL   string // without a trailing slash; for links and callback URLs; never empty

	MasterKey Secret // base64 of 32 bytes, or lines id:base64; empty: kept in DataDir
	AdminKey  Secret // imported as an API key of scope admin when the store does not have it; may be empty
	RedisURL  Secret // shares access tokens with other programs; may be empty

	EgressAllow []netip.Prefix // private networks that webhooks and media downloads may reach

	LogLevel  slog.Level
	LogFormat string // text, json, or empty: text on a terminal, else json

	Node string // name of this process among others on one database; may be empty: the gateway makes one

	URL string // where the client commands talk to; without a trailing slash
	Key Secret // the API key of the client commands

	// Warnings are things that look wrong but do not stop a start, such as an
	// environment variable that is near to a setting's name.
	Warnings []string

	origins map[string]string // key → where its value came from
}

// Origin tells where the value of a key came from: "flag --listen",
// "environment HONGYAN_LISTEN", "hongyan.yaml:3" or "default".
func (c Config) Origin(key string) string {
	if o, ok := c.origins[key]; ok {
		return o
	}
	return "default"
}
