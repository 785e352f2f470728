package config

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
)

// Value is one effective setting as it may be shown to a person.
type Value struct {
	Key    string `json:"key"`
	Value  string `json:"value"` // secrets are masked
	Origin string `json:"origin"`
}

// Values lists the effective settings in the order of [Settings], secrets
// masked. Of database and Redis URLs only the password is masked.
func (c Config) Values() []Value {
	settings := Settings()
	out := make([]Value, 0, len(settings))
	for _, s := range settings {
		v := s.value(c)
		switch {
		case s.Secret && strings.HasSuffix(s.Key, "_url"):
			v = maskURL(v)
		case s.Secret:
			v = Secret(v).String()
		}
		out = append(out, Value{Key: s.Key, Value: v, Origin: c.Origin(s.Key)})
	}
	return out
}

// Print writes the effective settings as YAML with each origin as a comment;
// what is not set is a comment only.
func (c Config) Print(w io.Writer) error {
	for _, v := range c.Values() {
		if v.Value == "" {
			if _, err := fmt.Fprintf(w, "# %s is not set\n", v.Key); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(w, "%-15s %-40s # %s\n", v.Key+":", strconv.Quote(v.Value), v.Origin); err != nil {
			return err
		}
	}
	return nil
}

// maskURL hides user info and query values of a URL; what it cannot read it
// hides whole.
func maskURL(s string) string {
	if s == "" || strings.HasPrefix(s, "sqlite://") {
		return s
	}
	u, err := url.Parse(s)
	if err != nil {
		return Secret(s).String()
	}
	if u.User != nil {
		if _, has := u.User.Password(); has {
			u.User = url.UserPassword(u.User.Username(), "xxxxx")
		}
	}
	q := u.Query()
	for k := range q {
		if strings.Contains(k, "password") {
			q.Set(k, "xxxxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}
