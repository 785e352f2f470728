package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hongyan/client"
)

type messagesCmd struct {
	List    messagesListCmd    `cmd:"" help:"List messages, newest first."`
	Get     messagesGetCmd     `cmd:"" help:"Show one message with its deliveries and attempts."`
	Watch   messagesWatchCmd   `cmd:"" help:"Follow a message until it is final."`
	Release messagesReleaseCmd `cmd:"" help:"Decide about a held message, which WeCom may or may not have."`
	Resend  messagesResendCmd  `cmd:"" help:"Send a message again, as a new one."`
	Cancel  messagesCancelCmd  `cmd:"" help:"Take back what was not sent yet."`
}

type messagesListCmd struct {
	State      string `placeholder:"STATE" help:"scheduled, queued, sending, sent, partial, failed, expired, cancelled, merged or uncertain."`
	Scene      string `placeholder:"KEY" help:"Only this scene."`
	App        string `placeholder:"KEY" help:"Only this app."`
	User       string `placeholder:"USER" help:"Only to this member."`
	Reference  string `placeholder:"TEXT" help:"Only with this reference."`
	Source     string `placeholder:"TEXT" help:"Only from this source."`
	MergedInto string `placeholder:"ID" help:"Only what this digest carries."`
	Errcode    string `placeholder:"N" help:"Only with this errcode in an attempt."`
	Since      string `placeholder:"TIME" help:"Created at or after: RFC 3339, or an age such as 2h."`
	Until      string `placeholder:"TIME" help:"Created before: RFC 3339, or an age such as 2h."`
	Search     string `short:"s" placeholder:"TEXT" help:"Text in title or body."`
	Limit      int    `default:"50" help:"At most this many, 1 to 200."`
	Cursor     string `placeholder:"CURSOR" help:"Go on after an earlier page."`
}

// Run prints one page.
func (c *messagesListCmd) Run(s *session) error {
	if c.Limit < 1 || c.Limit > 200 {
		return usagef("--limit must be 1 to 200, not %d", c.Limit)
	}
	api, err := s.api()
	if err != nil {
		return err
	}
	since, err := moment(c.Since)
	if err != nil {
		return err
	}
	until, err := moment(c.Until)
	if err != nil {
		return err
	}
	page, err := api.Messages(s.ctx, client.MessageFilter{
		State: c.State, Scene: c.Scene, App: c.App, User: c.User, Reference: c.Reference, Source: c.Source,
		Errcode: c.Errcode, MergedInto: c.MergedInto, Since: since, Until: until, Query: c.Search, Limit: c.Limit, Cursor: c.Cursor,
	})
	if err != nil {
		return err
	}
	if s.root.JSON {
		return s.printJSON(page)
	}
	rows := make([][]string, len(page.Items))
	for i, m := range page.Items {
		rows[i] = []string{
			m.ID, strings.TrimSpace(m.State + " " + m.WaitReason), shortTime(m.CreatedAt), firstOf(m.Scene, m.App, "-"),
			strconv.Itoa(m.Recipients.Accepted) + "/" + strconv.Itoa(m.Recipients.Total), m.Title,
		}
	}
	if err := s.table([]string{"ID", "STATE", "CREATED", "SCENE", "OK", "TITLE"}, rows); err != nil {
		return err
	}
	if page.NextCursor != "" {
		s.notef("more: add --cursor %s", clean(page.NextCursor))
	}
	return nil
}

// moment reads a time or an age; the answer is RFC 3339.
func moment(v string) (string, error) {
	if v == "" {
		return "", nil
	}
	if d, err := time.ParseDuration(v); err == nil {
		return time.Now().Add(-d).UTC().Format(time.RFC3339), nil
	}
	if _, err := time.Parse(time.RFC3339, v); err != nil {
		return "", usagef("%q is neither a time such as 2026-11-24T09:00:00+08:00 nor an age such as 2h", v)
	}
	return v, nil
}

func shortTime(v string) string {
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return v
	}
	return t.Local().Format(time.DateTime)
}

type messagesGetCmd struct {
	ID         string `arg:"" help:"Id of the message."`
	Recipients bool   `help:"Show the outcome per recipient instead."`
}

// Run prints one message.
func (c *messagesGetCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	if c.Recipients {
		return c.recipients(s, api)
	}
	m, err := api.Message(s.ctx, c.ID)
	if err != nil {
		return err
	}
	if s.root.JSON {
		return s.printJSON(m)
	}
	rows := [][]string{
		{"state", strings.TrimSpace(m.State + " " + m.WaitReason)},
		{"scene", m.Scene},
		{"app", m.App},
		{"type", m.Type},
		{"title", m.Title},
		{"reference", m.Reference},
		{"merged", mergedText(m)},
		{"created", shortTime(m.CreatedAt)},
		{"finished", shortTime(m.FinishedAt)},
		{"next try", shortTime(m.NextAttemptAt)},
		{"recipients", "accepted " + counted(m.Recipients)},
	}
	for _, r := range rows {
		if r[1] == "" {
			continue
		}
		if err := s.printf("%-10s  %s\n", r[0], clean(r[1])); err != nil {
			return err
		}
	}
	for _, d := range m.Deliveries {
		if err := s.printf("\n%s  %s  %s\n", clean(d.ID), clean(d.Lane), clean(deliveryText(d))); err != nil {
			return err
		}
		for _, a := range d.Attempts {
			if err := s.printf("  try %d  %s  %s  %s  %.0f ms\n", a.N, shortTime(a.StartedAt), clean(a.Class), answerText(a), a.DurationMS); err != nil {
				return err
			}
			if a.Explain != "" {
				if err := s.printf("    → %s\n", clean(a.Explain)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// mergedText says which digest carries the message, or what the digest carries.
func mergedText(m client.Message) string {
	switch {
	case m.MergedCount > 0:
		return "carries " + strconv.Itoa(m.MergedCount) + " messages: hongyan messages list --merged-into " + m.ID
	case m.MergedInto != "":
		return "into " + m.MergedInto
	}
	return ""
}

// deliveryText is the state of a delivery, and what it waits for until when.
func deliveryText(d client.Delivery) string {
	text := strings.TrimSpace(d.State + " " + d.WaitReason)
	switch {
	case d.MergedInto != "":
		text += " into " + d.MergedInto
	case d.NextAttemptAt != "" && d.WaitReason != "":
		text += " until " + shortTime(d.NextAttemptAt)
	}
	return text
}

func (c *messagesGetCmd) recipients(s *session, api *client.Client) error {
	var all []client.Recipient
	for cursor := ""; ; {
		p, err := api.Recipients(s.ctx, c.ID, cursor)
		if err != nil {
			return err
		}
		all = append(all, p.Items...)
		if p.NextCursor == "" || p.NextCursor == cursor || len(p.Items) == 0 {
			break
		}
		cursor = p.NextCursor
	}
	if s.root.JSON {
		return s.printJSON(all)
	}
	rows := make([][]string, len(all))
	for i, r := range all {
		rows[i] = []string{r.Kind, r.ID, r.Outcome, r.Reason, shortTime(r.At)}
	}
	return s.table([]string{"KIND", "ID", "OUTCOME", "REASON", "AT"}, rows)
}

type messagesWatchCmd struct {
	ID      string        `arg:"" help:"Id of the message."`
	Timeout time.Duration `default:"10m" help:"Stop watching after this time."`
}

// Run follows a message and exits with its outcome.
func (c *messagesWatchCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	began := time.Now()
	m, err := s.follow(api, client.Message{ID: c.ID}, c.Timeout)
	if err != nil {
		return err
	}
	return s.outcome(api, m, c.Timeout-time.Since(began))
}

type messagesResendCmd struct {
	ID     string `arg:"" help:"Id of the message."`
	Render string `placeholder:"same|latest" help:"same sends the same bytes, latest renders the live scene again."`
	Only   string `placeholder:"failed|all" help:"To whom."`
}

// Run asks for the resend and prints the new message.
func (c *messagesResendCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	raw, err := api.Resend(s.ctx, c.ID, c.Render, c.Only)
	return s.acted(raw, err, "sent again")
}

type messagesReleaseCmd struct {
	ID   string `arg:"" help:"Id of the message."`
	Drop bool   `help:"Leave it as uncertain instead of sending it again."`
}

// Run decides about the held message.
func (c *messagesReleaseCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	raw, err := api.Release(s.ctx, c.ID, c.Drop)
	return s.acted(raw, err, "released")
}

type messagesCancelCmd struct {
	ID string `arg:"" help:"Id of the message."`
}

// Run asks for the cancellation.
func (c *messagesCancelCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	raw, err := api.Cancel(s.ctx, c.ID)
	return s.acted(raw, err, "cancelled")
}

// acted prints the answer to an action: as JSON, or id and state, or a word.
func (s *session) acted(raw json.RawMessage, err error, word string) error {
	if err != nil {
		return err
	}
	if s.root.JSON {
		if len(raw) == 0 {
			raw = json.RawMessage(`{}`)
		}
		return s.printJSON(raw)
	}
	var v struct {
		ID    string `json:"id"`
		Key   string `json:"key"`
		State string `json:"state"`
	}
	_ = json.Unmarshal(raw, &v) // an empty answer prints the word alone
	return s.printf("%s\n", strings.TrimSpace(clean(firstOf(v.ID, v.Key)+" "+firstOf(v.State, word))))
}

// answerText is what an attempt brought: WeCom's errcode, where it gave one.
func answerText(a client.Attempt) string {
	if a.Errcode == nil {
		return clean(a.Errmsg)
	}
	return strings.TrimSpace(fmt.Sprintf("errcode %d %s", *a.Errcode, clean(a.Errmsg)))
}
