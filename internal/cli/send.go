package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hongyan/client"
)

func readBounded(r io.Reader, limit int64, name string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, errorf("read %s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, errorf("%s is larger than %d bytes", name, limit)
	}
	return b, nil
}

type sendCmd struct {
	Scene string `arg:"" optional:"" help:"Scene: its key or its integer code. Leave it out with --app."`

	To         []string `help:"Members." placeholder:"USER,…"`
	Department []string `help:"Departments." placeholder:"ID,…"`
	Tag        []string `help:"Tags." placeholder:"ID,…"`
	Audience   []string `help:"Audiences." placeholder:"KEY,…"`
	Robot      []string `help:"Group robots." placeholder:"KEY,…"`
	Chat       []string `help:"Group chats of the app." placeholder:"CHATID,…"`
	All        bool     `help:"Everyone whom the app may reach."`

	Data []string `short:"d" sep:"none" placeholder:"K=V" help:"Variable of the scene: k=v is text, k:=v is JSON, @FILE or @- a whole JSON object. Repeatable."`

	App      string `placeholder:"KEY" help:"App to send through, without a scene."`
	Text     string `placeholder:"TEXT" help:"With --app or --robot: a text message; - reads standard input."`
	Markdown string `placeholder:"TEXT" help:"With --app or --robot: a markdown message; - reads standard input."`
	Type     string `placeholder:"MSGTYPE" help:"With --app: WeCom's msgtype of --content."`
	Content  string `placeholder:"JSON" help:"With --type: the content as JSON, @FILE or @-."`

	Priority       string        `placeholder:"NAME" help:"urgent, high, normal or low."`
	At             string        `placeholder:"TIME" help:"Send at this time (RFC 3339)."`
	ExpiresIn      string        `placeholder:"DURATION" help:"Give up after this time, such as 1h."`
	Reference      string        `placeholder:"TEXT" help:"Your own number, to find the message by."`
	DigestKey      string        `placeholder:"TEXT" help:"Messages of one key may be merged."`
	IdempotencyKey string        `placeholder:"TEXT" help:"A repeat with the same key is not sent twice. Made when left out."`
	DryRun         bool          `short:"n" help:"Show what would be sent; store nothing."`
	Wait           bool          `short:"w" help:"Wait until WeCom took or refused it."`
	Timeout        time.Duration `default:"60s" help:"How long --wait waits."`
}

// Run sends and, with --wait, follows the message to its end.
func (c *sendCmd) Run(s *session) error {
	req, err := c.request(s)
	if err != nil {
		return err
	}
	api, err := s.api()
	if err != nil {
		return err
	}
	if c.DryRun {
		plan, err := api.DryRun(s.ctx, req)
		if err != nil {
			return err
		}
		return s.printPlan(plan)
	}
	// Not with the API's own ?wait: whoever interrupts that learns no id.
	sent, err := api.Send(s.ctx, req, client.SendOptions{IdempotencyKey: c.IdempotencyKey})
	if err != nil {
		return err
	}
	for _, w := range sent.Warnings {
		s.notef("warning: %s", clean(w))
	}
	if !c.Wait {
		return s.printSent(sent)
	}
	began := time.Now()
	m, err := s.follow(api, client.Message{ID: sent.ID, State: sent.State}, c.Timeout)
	if err != nil {
		return errorf("%s was accepted, but not seen to its end: %w", clean(sent.ID), err)
	}
	return s.outcome(api, m, c.Timeout-time.Since(began))
}

// printSent prints a message that was accepted and not waited for.
func (s *session) printSent(sent client.Sent) error {
	if s.root.JSON {
		return s.printJSON(map[string]any{
			"id": sent.ID, "state": sent.State, "deliveries": sent.Deliveries, "links": sent.Links, "replayed": sent.Replayed, "warnings": append([]string{}, sent.Warnings...),
		})
	}
	if sent.Links.Console != "" {
		s.notef("%s", clean(sent.Links.Console))
	}
	return s.printf("%s %s\n", clean(sent.ID), clean(sent.State))
}

// counted says how many recipients WeCom took, and about how many nobody knows.
func counted(c client.Counts) string {
	s := fmt.Sprintf("%d of %d", c.Accepted, c.Total)
	if c.Uncertain > 0 {
		s += fmt.Sprintf(", uncertain %d", c.Uncertain)
	}
	return s
}

// outcome prints a message and turns its state into an exit code. Whether
// WeCom took what was merged is for the digest to tell: it is followed to its
// end, for what is left of the time.
func (s *session) outcome(api *client.Client, m client.Message, timeout time.Duration) error {
	if s.root.JSON {
		if err := s.printJSON(m); err != nil {
			return err
		}
	} else if err := s.printOutcome(m); err != nil {
		return err
	}
	ends := map[string]bool{} // of what went out by itself or in digests
	open, seen := "", map[string]bool{}
	for todo := []client.Message{m}; len(todo) > 0; {
		at := todo[0]
		todo = todo[1:]
		if at.State != "merged" {
			ends[at.State] = true
			if !at.Final() {
				open = at.ID
			}
			continue
		}
		for _, d := range at.Deliveries {
			if d.State != "merged" {
				ends[d.State] = true
				continue
			}
			if seen[d.MergedInto] || len(seen) >= followMost {
				continue
			}
			seen[d.MergedInto] = true
			began := time.Now()
			next, err := s.follow(api, client.Message{ID: d.MergedInto}, timeout)
			if err != nil {
				return errorf("%s was merged into %s, which was not seen to its end: %w", clean(m.ID), clean(d.MergedInto), err)
			}
			timeout -= time.Since(began)
			if !s.root.JSON {
				if err := s.printOutcome(next); err != nil {
					return err
				}
			}
			todo = append(todo, next)
		}
	}
	switch {
	case open != "":
		return failf("it is not final yet; see hongyan messages watch %s", open)
	case len(ends) == 1 && ends["sent"]:
		return nil
	case ends["sent"] || ends["partial"]:
		return exitError{code: ExitPartial}
	default:
		return exitError{code: ExitFailure}
	}
}

// followMost is how many digests are followed for one message.
const followMost = 100

// printOutcome prints how a message has ended, and what WeCom answered.
func (s *session) printOutcome(m client.Message) error {
	line := clean(m.ID) + " " + clean(m.State)
	if m.WaitReason != "" {
		line += " (" + clean(m.WaitReason) + ")"
	}
	if m.MergedInto != "" {
		line += " into " + clean(m.MergedInto)
	}
	if err := s.printf("%s  accepted %s\n", line, counted(m.Recipients)); err != nil {
		return err
	}
	if m.State == "sent" {
		return nil
	}
	for _, d := range m.Deliveries {
		if n := len(d.Attempts); n > 0 {
			a := d.Attempts[n-1]
			s.notef("  %s: %s, %s", clean(d.Lane), clean(a.Class), answerText(a))
			if a.Explain != "" {
				s.notef("    → %s", clean(a.Explain))
			}
		}
	}
	return nil
}

const (
	pollFirst = 50 * time.Millisecond
	pollMost  = 500 * time.Millisecond
)

// follow polls a message until it is final, the time is over or the user
// interrupts; it then returns the message as it was last seen. A gateway that
// does not answer is asked again until the time is over.
func (s *session) follow(api *client.Client, m client.Message, timeout time.Duration) (client.Message, error) {
	ctx, cancel := context.WithTimeout(s.ctx, max(timeout, time.Millisecond))
	defer cancel()
	last := ""
	for wait := pollFirst; ; wait = min(2*wait, pollMost) {
		seen, err := api.Message(ctx, m.ID)
		switch {
		case err == nil:
			m = seen
		case ctx.Err() == nil && refused(err): // there is no such message, or the key may not read it
			return m, err
		}
		now := strings.TrimSpace(m.State + " " + m.WaitReason)
		if err != nil && ctx.Err() == nil {
			now = s.word("the gateway does not answer")
		}
		if now != last {
			last = now
			if isTerminal(s.err) {
				s.notef("%s  %s %s", time.Now().Format(time.TimeOnly), clean(now), clean(m.NextAttemptAt))
			}
		}
		if m.Final() {
			return m, nil
		}
		select {
		case <-ctx.Done():
			if m.State == "" { // never seen
				return m, err
			}
			return m, nil
		case <-time.After(wait):
		}
	}
}

// refused reports whether an answer says that asking again is of no use.
func refused(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && e.Status < http.StatusInternalServerError && e.Status != http.StatusTooManyRequests
}

func (s *session) printPlan(p client.Plan) error {
	if s.root.JSON {
		return s.printJSON(p)
	}
	for _, d := range p.Deliveries {
		if err := s.printf("%s  %d recipients, %d bytes", clean(d.Lane), d.Recipients, d.Bytes); err != nil {
			return err
		}
		if d.WouldWait != nil {
			until := "until a person acts"
			if d.WouldWait.Until != "" {
				until = "until " + shortTime(d.WouldWait.Until)
			}
			if err := s.printf(", would wait %s (%s)", clean(until), clean(d.WouldWait.Reason)); err != nil {
				return err
			}
		}
		if err := s.printf("\n%s\n", clean(d.Body)); err != nil {
			return err
		}
	}
	for _, w := range p.Warnings {
		s.sayf("warning: %s", clean(w))
	}
	return nil
}

// request makes the API's request from the flags.
func (c *sendCmd) request(s *session) (client.SendRequest, error) {
	r := client.SendRequest{
		App: c.App, Priority: c.Priority, SendAt: c.At, ExpiresIn: c.ExpiresIn,
		Reference: c.Reference, DigestKey: c.DigestKey,
	}
	to := client.To{
		Users: c.To, Departments: c.Department, Tags: c.Tag, Audiences: c.Audience, Robots: c.Robot, Chats: c.Chat, All: c.All,
	}
	if len(c.To)+len(c.Department)+len(c.Tag)+len(c.Audience)+len(c.Robot)+len(c.Chat) > 0 || c.All {
		r.To = &to
	}
	direct := c.Text != "" || c.Markdown != "" || c.Type != "" || c.Content != ""
	switch {
	case c.Scene != "" && direct:
		return r, usagef("give either a scene or --text, --markdown, --type, not both")
	case c.Scene == "" && !direct:
		return r, usagef("name a scene, or give --app or --robot with --text, --markdown or --type and --content")
	case c.Scene != "":
		r.Scene = c.Scene
		if n, err := strconv.Atoi(c.Scene); err == nil {
			r.Scene = n
		}
	default:
		if err := c.direct(s, &r); err != nil {
			return r, err
		}
	}
	data, err := s.data(c.Data)
	r.Data = data
	return r, err
}

func (c *sendCmd) direct(s *session, r *client.SendRequest) error {
	text := func(v string) (any, error) {
		if v == "-" {
			b, err := s.readArg("-")
			if err != nil {
				return nil, err
			}
			v = strings.TrimRight(string(b), "\n")
		}
		return map[string]string{"content": v}, nil
	}
	var err error
	switch {
	case c.Text != "" && c.Markdown == "" && c.Type == "" && c.Content == "":
		r.Type = "text"
		r.Content, err = text(c.Text)
	case c.Markdown != "" && c.Text == "" && c.Type == "" && c.Content == "":
		r.Type = "markdown"
		r.Content, err = text(c.Markdown)
	case c.Type != "" && c.Content != "" && c.Text == "" && c.Markdown == "":
		r.Type = c.Type
		if n, nerr := strconv.Atoi(c.Type); nerr == nil {
			r.Type = n
		}
		raw := []byte(c.Content)
		if path, ok := strings.CutPrefix(c.Content, "@"); ok {
			if raw, err = s.readArg(path); err != nil {
				return err
			}
		}
		if !json.Valid(raw) {
			return usagef("--content is not JSON")
		}
		r.Content = json.RawMessage(raw)
	default:
		return usagef("give one of --text, --markdown, or --type with --content")
	}
	return err
}

// data reads the --data flags into one object; later ones win.
func (s *session) data(flags []string) (map[string]any, error) {
	if len(flags) == 0 {
		return nil, nil
	}
	out := map[string]any{}
	for _, f := range flags {
		if path, ok := strings.CutPrefix(f, "@"); ok {
			raw, err := s.readArg(path)
			if err != nil {
				return nil, err
			}
			var whole map[string]json.RawMessage
			if err := json.Unmarshal(raw, &whole); err != nil {
				return nil, usagef("%s is not a JSON object: %v", path, err)
			}
			for k, v := range whole {
				out[k] = v // numbers keep their digits
			}
			continue
		}
		k, v, ok := strings.Cut(f, "=")
		if !ok || k == "" || k == ":" {
			return nil, usagef("--data %q must be k=v, k:=json or @file", f)
		}
		if k, isJSON := strings.CutSuffix(k, ":"); isJSON {
			if !json.Valid([]byte(v)) {
				return nil, usagef("--data %s:= is not followed by JSON", k)
			}
			out[k] = json.RawMessage(v)
			continue
		}
		out[k] = v
	}
	return out, nil
}
