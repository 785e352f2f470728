// Package plan decides what a message becomes: whom it reaches, how many calls
// that takes, and the exact bytes of each.
//
// It expands audiences, splits recipients at WeCom's limits (1000 users, 100
// departments, 100 tags a call), measures the content and splits, cuts or
// refuses what is too long, and turns send_at and quiet hours into due times.
// It stores nothing and calls nobody but the resolver of media.
package plan

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// WeCom's limits for one call, and ours for one message.
const (
	MaxUsers       = 1000
	MaxParties     = 100
	MaxTags        = 100
	MaxRecipients  = 100_000 // of one message, after expansion
	MaxParts       = 50      // that one content may be split into
	MaxDeliveries  = 500     // batches × parts of one message
	MaxContent     = 1 << 20 // bytes of content
	maxAudiences   = 1000    // visited in one expansion
	maxTitle       = 200
	maxText        = 4 << 10
	maxTextForScan = 64 << 10
)

// Names gives what recipients may be called by: lists of others, and robots.
type Names interface {
	Audience(key string) (domain.Audience, bool)
	Robot(key string) (domain.Robot, bool)
}

// MediaResolver stores the file behind a media object and says what it is.
// mediaType is image, voice, video, file, newsimage for a picture that must
// become a URL, or robotimage for one that robots get. What the caller can mend is a field error, its pointer relative
// to the object; err is all else, such as a database that is away.
type MediaResolver interface {
	Resolve(ctx context.Context, media json.RawMessage, mediaType string) (ref domain.MediaRef, wrong *domain.FieldError, err error)
}

// Input is everything that decides a plan.
type Input struct {
	MessageID     string
	App           domain.App // the zero value: robots only
	Type          wecom.Kind
	Content       json.RawMessage // the object that WeCom documents under Type
	To            domain.To
	Safe          int
	EnableIDTrans int
	Overflow      string // split, cut, reject, or empty: split text and markdown, cut the rest
	DupWindow     int    // seconds
	OnUncertain   string
	Priority      domain.Priority
	Now           time.Time
	SendAt        time.Time // zero: at once
	ExpiresAt     time.Time
	QuietHours    *domain.QuietHours
	Scene         string   // key, or empty
	Merging       *Merging // nil: never merged with others
	AvoidPeak     bool
	Media         MediaResolver // nil: media objects are refused
}

// Merging is how a message may be merged with others of its scene.
type Merging struct {
	Key    string
	Window time.Duration
	Wait   bool // also the first of a window waits
	Closes bool // it ends the window
}

// Planned is the outcome.
type Planned struct {
	Deliveries []domain.Delivery
	Recipients []domain.Recipient // each once, with the id of the first delivery that reaches it
	Title      string             // one line for lists, at most 200 bytes
	Text       string             // what a search looks in, at most 4 KiB
	Warnings   []domain.Warning
}

// Planner plans messages. Safe for concurrent use.
type Planner struct {
	names  Names
	ids    *domain.IDs
	quiets quiets
}

// New makes a Planner.
func New(names Names, ids *domain.IDs) *Planner {
	return &Planner{names: names, ids: ids}
}

// Plan makes the plan. What the caller can mend is a *domain.Error of
// domain.CodeInvalid with pointers into the send request: /to/…, /content/….
// An error of the resolver comes back as it is.
func (p *Planner) Plan(ctx context.Context, in Input) (Planned, error) {
	var bad []domain.FieldError
	to, wrong := p.recipients(in.To)
	bad = append(bad, wrong...)
	bad = append(bad, checkEnvelope(in, &to)...)
	c, wrong, err := fit(ctx, in, to.targets())
	if err != nil {
		return Planned{}, err
	}
	bad = append(bad, wrong...)
	if len(bad) > 0 {
		return Planned{}, domain.Invalid(bad...)
	}
	first := domain.Delivery{ExpiresAt: in.ExpiresAt, Handling: domain.Handling{Quiet: in.QuietHours.For(in.Priority)}}
	if err := p.Schedule(&first, in.Now, in.SendAt); err != nil {
		return Planned{}, err
	}
	batches := to.batches()
	if in.Merging != nil && len(batches) > 1 {
		to.sort()
		batches = to.batches()
	}
	if n := len(batches) * len(c.parts); n > MaxDeliveries {
		return Planned{}, domain.Invalid(domain.FieldError{
			Pointer: "/content", Code: "max_items", Args: []any{MaxDeliveries, n},
			Message: "would take more calls than one message may", Fix: "shorten the content or send to fewer people at once",
		})
	}
	out := Planned{Title: c.title, Text: c.text, Warnings: c.warnings}
	if first.WaitReason == domain.WaitQuietHours && !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(first.DueAt) {
		out.Warnings = append(out.Warnings, domain.Warning{Code: domain.WarnQuietHours})
	}
	if m := in.Merging; m != nil && !m.Closes && !in.ExpiresAt.IsZero() && in.ExpiresAt.Before(first.DueAt.Add(m.Window)) {
		out.Warnings = append(out.Warnings, domain.Warning{Code: domain.WarnDigest})
	}
	out.Deliveries = make([]domain.Delivery, 0, len(batches)*len(c.parts))
	out.Recipients = make([]domain.Recipient, 0, to.count())
	for n, part := range c.parts {
		for i := range batches {
			b := &batches[i]
			d := domain.Delivery{
				ID: p.ids.New(domain.PrefixDelivery), MessageID: in.MessageID, Lane: b.lane(in.App.Key),
				Priority: in.Priority, State: first.State, WaitReason: first.WaitReason, DueAt: first.DueAt, ExpiresAt: in.ExpiresAt,
				Body: body(in, b, part), Media: c.media, DupInterval: -1, DupWindow: b.dupWindow(in.DupWindow),
				OnUncertain: in.OnUncertain, Recipients: b.count(), Since: first.Since, Scene: in.Scene, Handling: first.Handling,
			}
			if len(c.parts) > 1 {
				d.Handling.Part = n + 1
			}
			d.Handling.AvoidPeak = in.AvoidPeak && in.Priority >= domain.PriorityNormal
			if m := in.Merging; m != nil {
				d.Digest = domain.DigestGroup(in.Scene, b.people(), m.Key)
				d.Handling.Window, d.Handling.Wait, d.Handling.Closes = int(m.Window.Seconds()), m.Wait, m.Closes
			}
			if len(out.Recipients) < cap(out.Recipients) {
				out.Recipients = b.to().AppendRecipients(out.Recipients, in.MessageID, d.ID)
			}
			out.Deliveries = append(out.Deliveries, d)
		}
	}
	return out, nil
}

// checkEnvelope holds the fields around the content against WeCom's rules, and
// the kind against those of everyone whom it is for.
func checkEnvelope(in Input, to *group) []domain.FieldError {
	var bad []domain.FieldError
	beyond := to.chats != nil || to.robots != nil
	switch {
	case in.Safe < 0 || in.Safe > 2:
		bad = append(bad, field("/safe", "enum", "is not one of 0, 1, 2", "use 0, 1 or 2", "0, 1, 2"))
	case in.Safe != 0 && to.robots != nil:
		bad = append(bad, field("/safe", "forbidden", "is not offered by WeCom for robots", "leave it out, or send to the robots without it"))
	case in.Safe == 2 && in.Type != wecom.KindMPNews:
		bad = append(bad, field("/safe", "forbidden", "2 exists for mpnews only", "use 0 or 1", "mpnews"))
	case in.Safe == 1 && !in.Type.TakesSafe():
		bad = append(bad, field("/safe", "forbidden", "is not offered by WeCom for "+string(in.Type), "leave it out"))
	}
	if in.EnableIDTrans < 0 || in.EnableIDTrans > 1 {
		bad = append(bad, field("/enable_id_trans", "enum", "is not one of 0, 1", "use 0 or 1", "0, 1"))
	} else if in.EnableIDTrans != 0 && beyond {
		bad = append(bad, field("/enable_id_trans", "forbidden", "is not offered by WeCom for robots and group chats", "leave it out, or send to them without it"))
	}
	if to.all && in.Type == wecom.KindMiniProgramNotice {
		bad = append(bad, field("/to/all", "forbidden", "is not allowed by WeCom for miniprogram_notice", "name users, departments or tags"))
	}
	for _, l := range []struct {
		pointer string
		named   bool
		takes   []wecom.Kind
	}{
		{"/to/robots", to.robots != nil, wecom.RobotKinds()},
		{"/to/chats", to.chats != nil, wecom.ChatKinds()},
		{"/to", to.throughApp(), wecom.Kinds()},
	} {
		if l.named && !slices.Contains(l.takes, in.Type) {
			bad = append(bad, field(l.pointer, "kind", "cannot get "+string(in.Type), "send them one of: "+kindList(l.takes), string(in.Type), kindList(l.takes)))
		}
	}
	return bad
}

func kindList(kinds []wecom.Kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

func field(pointer, code, message, fix string, args ...any) domain.FieldError {
	return domain.FieldError{Pointer: pointer, Code: code, Args: args, Message: message, Fix: fix}
}
