package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"hongyan/client"
	"hongyan/internal/config"
)

const doctorLimit = 8 * time.Second // of all questions to the gateway together

type doctorCmd struct{ serverFlags }

// Run prints one line per check; it fails when a check fails.
func (c *doctorCmd) Run(s *session) error {
	var checks []Check
	code := ExitOK
	cfg, err := s.settings(c.values(), nil)
	if err != nil {
		code = ExitConfig
		for line := range strings.SplitSeq(err.Error(), "\n") {
			checks = append(checks, Check{Name: "config", Status: "fail", What: "a setting is wrong", Why: line, Fix: "correct it and run hongyan config check"})
		}
	} else {
		checks = append(checks, Check{Name: "config", Status: "ok", What: "all settings are well-formed"})
		if s.deps.Doctor != nil {
			checks = append(checks, s.deps.Doctor(s.ctx, cfg)...)
		}
		checks = append(checks, s.gateway(cfg)...)
	}
	for _, k := range checks {
		if k.Status == "fail" && code == ExitOK {
			code = ExitFailure
		}
	}
	if s.root.JSON {
		if err := s.printJSON(map[string]any{"checks": checks}); err != nil {
			return err
		}
	} else if err := printChecks(s, checks); err != nil {
		return err
	}
	if code != ExitOK {
		return exitError{code: code}
	}
	return nil
}

func printChecks(s *session, checks []Check) error {
	for _, k := range checks {
		if err := s.printf("%-4s  %-10s  %s\n", k.Status, k.Name, clean(k.What)); err != nil {
			return err
		}
		for _, extra := range []struct{ label, text string }{{"why", k.Why}, {"fix", k.Fix}} {
			if extra.text == "" {
				continue
			}
			if err := s.printf("      %s: %s\n", extra.label, clean(extra.text)); err != nil {
				return err
			}
		}
	}
	return nil
}

// gateway asks the running gateway how it and its apps are.
func (s *session) gateway(cfg config.Config) []Check {
	ctx, cancel := context.WithTimeout(s.ctx, doctorLimit)
	defer cancel()
	key := cfg.Key.Reveal()
	if key == "" && local(cfg.URL) {
		key = devKey()
	}
	api, err := client.New(client.Options{URL: cfg.URL, Key: key, UserAgent: "hongyan-cli", Tries: 1, Timeout: doctorLimit / 2})
	if err != nil {
		return []Check{{Name: "gateway", Status: "fail", What: "the gateway cannot be asked", Why: err.Error(), Fix: "correct url and key"}}
	}
	if err := api.Ready(ctx); err != nil {
		if _, ok := errors.AsType[*client.TransportError](err); ok {
			return []Check{{
				Name: "gateway", Status: "warn", What: "no gateway answers at " + cfg.URL, Why: err.Error(),
				Fix: "start it, or set HONGYAN_URL to where it runs",
			}}
		}
		return []Check{{
			Name: "gateway", Status: "fail", What: cfg.URL + " is not ready", Why: err.Error(),
			Fix: "look into its log: it is stopping, or its store cannot be written",
		}}
	}
	checks := []Check{{Name: "gateway", Status: "ok", What: cfg.URL + " takes messages"}}
	if key == "" {
		return append(checks, Check{Name: "key", Status: "warn", What: "no API key is set, so the apps were not checked", Fix: "set HONGYAN_KEY or HONGYAN_KEY_FILE"})
	}
	items, err := api.ListResources(ctx, "apps")
	if err != nil {
		return append(checks, Check{Name: "key", Status: "fail", What: "the API key was not accepted", Why: err.Error(), Fix: "use a live key of scope read"})
	}
	checks = append(checks, Check{Name: "key", Status: "ok", What: "the API key is accepted"})
	if len(items) == 0 {
		checks = append(checks, Check{Name: "apps", Status: "warn", What: "there is no app yet", Fix: "describe one and run hongyan apply -f"})
	}
	lanes, err := lanesOf(ctx, api)
	if err != nil {
		checks = append(checks, Check{Name: "lanes", Status: "warn", What: "the lanes cannot be read, so what waits was not checked", Why: err.Error()})
	}
	for _, raw := range items {
		checks = append(checks, appCheck(raw, lanes))
	}
	return append(checks, twinChecks(items)...)
}

// twinChecks finds apps that are one and the same at WeCom.
func twinChecks(items []json.RawMessage) (checks []Check) {
	groups, order := map[string][]string{}, []string{}
	for _, raw := range items {
		var a struct {
			Key     string      `json:"key"`
			CorpID  string      `json:"corp_id"`
			AgentID json.Number `json:"agent_id"`
			BaseURL string      `json:"base_url"`
		}
		if json.Unmarshal(raw, &a) != nil || a.CorpID == "" {
			continue // appCheck tells
		}
		id := a.CorpID + " " + a.AgentID.String() + " " + firstOf(strings.TrimRight(a.BaseURL, "/"), "https://qyapi.weixin.qq.com")
		if groups[id] == nil {
			order = append(order, id)
		}
		groups[id] = append(groups[id], a.Key)
	}
	for _, id := range order {
		if keys := groups[id]; len(keys) > 1 {
			checks = append(checks, Check{
				Name: "apps", Status: "warn", What: strings.Join(keys, ", ") + " are one app at WeCom",
				Why: "corp_id, agent_id and base_url are the same; WeCom counts its limits for them together, the gateway for each alone",
				Fix: "keep one of them, or give each a part of the limits",
			})
		}
	}
	return checks
}

// lanesOf reads the lanes, by name.
func lanesOf(ctx context.Context, api *client.Client) (map[string]laneView, error) {
	raw, err := api.Lanes(ctx)
	if err != nil {
		return nil, err
	}
	var page client.Page[laneView]
	if err := json.Unmarshal(raw, &page); err != nil {
		return nil, err
	}
	out := map[string]laneView{}
	for _, l := range page.Items {
		out[l.Lane] = l
	}
	return out, nil
}

func appCheck(raw json.RawMessage, lanes map[string]laneView) Check {
	var a struct {
		Key    string `json:"key"`
		Health struct {
			State   string `json:"state"`
			Cause   string `json:"cause"`
			Errcode *int   `json:"errcode"`
			SeenIP  string `json:"seen_ip"`
			Fix     string `json:"fix"`
		} `json:"health"`
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return Check{Name: "app", Status: "fail", What: "the gateway's answer cannot be read", Why: err.Error()}
	}
	c := Check{Name: "app " + a.Key, Status: "ok", What: "can send"}
	switch a.Health.State {
	case "blocked":
		c.Status, c.What, c.Fix = "fail", "is blocked: "+a.Health.Cause, a.Health.Fix
		if a.Health.Errcode != nil {
			c.Why = fmt.Sprintf("WeCom answered errcode %d", *a.Health.Errcode)
			if a.Health.SeenIP != "" {
				c.Why += " to the address " + a.Health.SeenIP
			}
		}
	case "paused":
		c.Status, c.What, c.Fix = "warn", "is paused", "hongyan app resume "+a.Key
	default: // it may send, but does it?
		l := lanes["app:"+a.Key]
		switch l.PauseReason {
		case "":
		case "backoff":
			c.Status, c.What = "warn", "does not reach WeCom, or WeCom is busy"
			c.Why = "the last calls failed; the next one goes at " + shortTime(l.PausedUntil)
			c.Fix = "hongyan app test " + a.Key + " says what is wrong; look at base_url, proxy, DNS and the firewall"
		default:
			c.Status, c.What, c.Why = "warn", "waits: "+l.PauseReason, "nothing goes out before "+shortTime(l.PausedUntil)
		}
	}
	return c
}
