// Package digest writes the message that stands for several: one delivery to
// the people that all of them were for, and a list of what they said.
package digest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

const (
	// textBytes is WeCom's limit for a text (message/send, document 90236).
	textBytes = 2048
	// lineBytes bounds one line, so that a few long titles do not push out the rest.
	lineBytes = 240
	// itemBytes bounds the text of one message where templates see it: fifty of
	// them fit into what a template may render.
	itemBytes = 512
)

// Apps gives the live configuration of apps.
type Apps interface {
	App(key string) (domain.App, bool)
}

// Scenes renders a scene's own look of a digest.
type Scenes interface {
	RenderDigest(ctx context.Context, key string, root map[string]any) (content json.RawMessage, kind wecom.Kind, ok bool, err error)
}

// Calls writes what WeCom gets: package plan.
type Calls interface {
	// Addressed says whom a body of a lane is for.
	Addressed(lane string, body []byte) domain.To
	// Body writes one.
	Body(to domain.To, agent int64, kind wecom.Kind, content json.RawMessage, safe, idTrans int) []byte
	// Cut shortens what is too long for WeCom in a lane; its error says what else
	// is wrong.
	Cut(ctx context.Context, lane string, kind wecom.Kind, content json.RawMessage) (json.RawMessage, error)
}

// Config sets up a Composer; all fields but the last are required.
type Config struct {
	Apps   Apps
	Scenes Scenes
	IDs    *domain.IDs
	Calls  Calls
	Logger *slog.Logger // may be nil
}

// Composer writes digests. Safe for concurrent use.
type Composer struct{ cfg Config }

// New makes a Composer.
func New(cfg Config) *Composer {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Composer{cfg}
}

// Digest composes one message with one delivery out of items, which share lane,
// scene and receivers. It is as urgent as the most urgent of them, is repeated
// as little as any of them may be, and expires with the last.
func (c *Composer) Digest(ctx context.Context, items []domain.Mergeable) (domain.Submission, error) {
	if said, _ := unpacked(items); len(said) == 0 {
		return domain.Submission{}, errors.New("compose a digest: nothing to merge")
	}
	first := &items[0].Delivery
	kindOfLane, appKey, _ := strings.Cut(first.Lane, ":")
	app, ok := c.cfg.Apps.App(appKey)
	switch {
	case kindOfLane == domain.LaneRobot: // which needs no app
		appKey = ""
	case !ok:
		return domain.Submission{}, fmt.Errorf("compose a digest: there is no app %q", appKey)
	}
	safe, idTrans := flags(items)
	content, kind, title, text, err := c.content(ctx, items, safe)
	if err != nil {
		return domain.Submission{}, fmt.Errorf("compose a digest: %w", err)
	}
	to := c.cfg.Calls.Addressed(first.Lane, first.Body)
	now := time.Now().UTC()
	m := domain.Message{
		ID: c.cfg.IDs.New(domain.PrefixMessage), Source: domain.SourceDigest, Scene: first.Scene, App: appKey, Type: string(kind),
		Title: title, Text: text, State: domain.StateQueued, CreatedAt: now, Priority: first.Priority, Deliveries: 1,
	}
	d := domain.Delivery{
		ID: c.cfg.IDs.New(domain.PrefixDelivery), MessageID: m.ID, Lane: first.Lane, State: domain.StateQueued, DueAt: now, Since: now,
		Priority: first.Priority, Scene: first.Scene, DupInterval: -1, DupWindow: first.DupWindow, OnUncertain: "retry",
		Digest: domain.DigestMark + first.Digest, Handling: domain.Handling{Window: first.Handling.Window, Quiet: quiet(items)},
	}
	for i := range items {
		it := &items[i].Delivery
		d.Priority = min(d.Priority, it.Priority)
		d.DupWindow = min(d.DupWindow, it.DupWindow)
		if it.OnUncertain == "hold" || it.OnUncertain == "drop" && d.OnUncertain != "hold" {
			d.OnUncertain = it.OnUncertain // no copy too many of any; one that is held can still be sent
		}
		if it.ExpiresAt.After(d.ExpiresAt) {
			d.ExpiresAt = it.ExpiresAt
		}
	}
	m.Priority, m.ExpiresAt = d.Priority, d.ExpiresAt
	if !kind.TakesIDTrans() {
		idTrans = 0
	}
	d.Body = c.cfg.Calls.Body(to, app.AgentID, kind, content, safe, idTrans)
	rs := to.AppendRecipients(nil, m.ID, d.ID)
	d.Recipients, m.Recipients = len(rs), len(rs)
	m.Request, err = json.Marshal(domain.SendRequest{
		App: appKey, Type: &domain.TypeRef{Name: string(kind)}, Content: content, To: to, Safe: safe, EnableIDTrans: idTrans,
	})
	return domain.Submission{Messages: []domain.Message{m}, Deliveries: []domain.Delivery{d}, Recipients: rs}, err
}

// flags are the safe and the enable_id_trans that suit all of items. 2 of an
// mpnews lets it be passed on inside the corp; a text knows only the stricter 1.
func flags(items []domain.Mergeable) (safe, idTrans int) {
	for i := range items {
		s, trans := wecom.Flags(items[i].Delivery.Body)
		if s != 0 {
			safe = 1
		}
		if trans != 0 {
			idTrans = 1
		}
	}
	return safe, idTrans
}

// quiet gives the hours in which a digest is not sent: those of the newest in
// it. None, if one of them may be sent at any time: it does not wait for others,
// and those disturb nobody then.
func quiet(items []domain.Mergeable) string {
	hours := ""
	for i := range items {
		if hours = items[i].Delivery.Handling.Quiet; hours == "" {
			return ""
		}
	}
	return hours
}

// content renders the scene's own digest, or lists the messages as a text: also
// when the scene's own does not come out as something that WeCom takes. What
// the messages said matters more than how the digest looks, and so does that it
// stays as confidential as it was: a look that WeCom cannot protect is not used.
func (c *Composer) content(ctx context.Context, items []domain.Mergeable, safe int) (content json.RawMessage, kind wecom.Kind, title, text string, err error) {
	said, more := unpacked(items)
	list, heading := lines(said, more)
	text = strings.Join(append([]string{heading}, list...), "\n")
	if scene := items[0].Delivery.Scene; scene != "" {
		content, kind, ok, err := c.cfg.Scenes.RenderDigest(ctx, scene, root(said, list, more))
		if ok && err == nil {
			if content, err = c.cfg.Calls.Cut(ctx, items[0].Delivery.Lane, kind, content); err == nil && safe != 0 && !kind.TakesSafe() {
				err = fmt.Errorf("%s takes no safe, which a message in it has", kind)
			}
		}
		if err != nil {
			c.cfg.Logger.Warn("a scene's own digest is not usable, a list goes out instead", "scene", scene, "error", err)
		} else if ok {
			return content, kind, heading, clip(text, 4096), nil
		}
	}
	content, err = json.Marshal(struct {
		Content string `json:"content"`
	}{fit(heading, list, len(said)+more)})
	return content, wecom.KindText, heading, clip(text, 4096), err
}

// unpacked puts what digests carry in their place, each message once: the
// pieces of a split text say the same of it. more is how many messages are not
// in it.
func unpacked(items []domain.Mergeable) (said []domain.Carried, more int) {
	for i := range items {
		it := &items[i]
		if it.Source != domain.SourceDigest {
			said = append(said, domain.Carried{
				MessageID: it.Delivery.MessageID, Title: it.Title, Text: it.Text, Reference: it.Reference, CreatedAt: it.CreatedAt,
			})
		}
		said = append(said, it.Carried...)
		more += it.More
	}
	seen := make(map[string]bool, len(said))
	said = slices.DeleteFunc(said, func(m domain.Carried) bool {
		again := seen[m.MessageID]
		seen[m.MessageID] = true
		return again
	})
	slices.SortStableFunc(said, func(a, b domain.Carried) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return said, more
}

// lines gives one line per different title, with how often it came, in the
// order of their first appearance, and the heading above them.
func lines(said []domain.Carried, more int) (list []string, heading string) {
	count := map[string]int{}
	var order []string
	for i := range said {
		t := clip(oneLine(said[i].Title), lineBytes)
		if t == "" {
			t = clip(oneLine(said[i].Text), lineBytes)
		}
		if count[t]++; count[t] == 1 {
			order = append(order, t)
		}
	}
	for _, t := range order {
		if n := count[t]; n > 1 {
			t += " ×" + strconv.Itoa(n)
		}
		list = append(list, "· "+t)
	}
	const clock = "15:04:05"
	zone := time.FixedZone("UTC+8", 8*3600)
	span := said[0].CreatedAt.In(zone).Format(clock)
	if end := said[len(said)-1].CreatedAt.In(zone).Format(clock); end != span {
		span += "–" + end
	}
	return list, fmt.Sprintf("%d 条消息合并 %s", len(said)+more, span)
}

// fit takes as many lines as a text may hold and says how many are left out:
// they stay findable as the messages that were merged.
func fit(heading string, list []string, total int) string {
	var b strings.Builder
	b.WriteString(heading)
	for i, l := range list {
		more := fmt.Sprintf("\n… 另有 %d 类，共 %d 条", len(list)-i, total)
		if room := textBytes - b.Len() - len(more); 1+len(l) > room && !(i == len(list)-1 && 1+len(l) <= textBytes-b.Len()) {
			b.WriteString(more)
			break
		}
		b.WriteString("\n" + l)
	}
	return b.String()
}

// root is what the templates of a scene's own digest see.
func root(said []domain.Carried, list []string, more int) map[string]any {
	const shown = 50
	all := make([]any, 0, min(len(said), shown))
	for _, it := range said[:min(len(said), shown)] {
		all = append(all, map[string]any{
			"title": it.Title, "text": clip(it.Text, itemBytes), "reference": it.Reference, "at": it.CreatedAt.UTC().Format(time.RFC3339),
		})
	}
	summary := make([]any, 0, min(len(list), shown))
	for _, l := range list[:min(len(list), shown)] {
		summary = append(summary, l)
	}
	at := func(c domain.Carried) string { return c.CreatedAt.UTC().Format(time.RFC3339) }
	return map[string]any{
		"count": int64(len(said) + more), "items": all, "lines": summary, "more": int64(len(said) - len(all) + more),
		"first": at(said[0]), "last": at(said[len(said)-1]),
		"now": time.Now().UTC().Format(time.RFC3339),
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// clip cuts at a rune and marks the cut.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "…"
	cut := n - len(mark)
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + mark
}
