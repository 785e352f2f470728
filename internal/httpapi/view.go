package httpapi

import (
	"encoding/json"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/i18n"
	"hongyan/wecom"
)

// Message is a message with its deliveries and their attempts.
type Message struct {
	MessageHead
	Deliveries []Delivery `json:"deliveries"`
	Links      Links      `json:"links"`
}

// MessageLine is a message as lists show it: its deliveries without what was
// tried, which is read one message at a time.
type MessageLine struct {
	MessageHead
	Deliveries []DeliveryLine `json:"deliveries" doc:"Without msgid, response_code and attempts: GET /v1/messages/{id} has them"`
	Links      Links          `json:"links"`
}

// MessageHead is what both forms of a message have.
type MessageHead struct {
	ID            string                 `json:"id"`
	State         domain.State           `json:"state"`
	WaitReason    *domain.WaitReason     `json:"wait_reason" doc:"Why it is not being sent now, while it is not final"`
	NextAttemptAt *time.Time             `json:"next_attempt_at" doc:"null also while it waits for a person"`
	Scene         *string                `json:"scene"`
	SceneVersion  *int                   `json:"scene_version"`
	App           *string                `json:"app"`
	Type          string                 `json:"type" doc:"WeCom's msgtype"`
	Title         string                 `json:"title"`
	Priority      string                 `json:"priority"`
	Source        string                 `json:"source" doc:"api, resend, digest, schedule:<key> or the key of an inlet"`
	Reference     *string                `json:"reference"`
	DigestKey     *string                `json:"digest_key"`
	MergedInto    *string                `json:"merged_into" doc:"The digest that carries it; the last one, where its deliveries went into several"`
	MergedCount   int                    `json:"merged_count" doc:"How many messages it carries, if it is a digest"`
	ResendOf      *string                `json:"resend_of"`
	KeyID         *string                `json:"key_id"`
	RequestID     *string                `json:"request_id"`
	CreatedAt     time.Time              `json:"created_at"`
	SendAt        *time.Time             `json:"send_at"`
	ExpiresAt     *time.Time             `json:"expires_at"`
	FinishedAt    *time.Time             `json:"finished_at"`
	Recipients    domain.RecipientCounts `json:"recipients"`
}

// Links lead to the same thing elsewhere.
type Links struct {
	Self    string `json:"self"`
	Console string `json:"console"`
	Merged  string `json:"merged,omitempty" doc:"The messages that this digest carries"`
}

// Delivery is one planned call to WeCom with its tries.
type Delivery struct {
	DeliveryLine
	MsgID        *string       `json:"msgid"`
	ResponseCode *ResponseCode `json:"response_code" doc:"Whether a template card can still be updated; the code itself is never shown"`
	Attempts     []Attempt     `json:"attempts"`
}

// DeliveryLine is one planned call to WeCom.
type DeliveryLine struct {
	ID            string             `json:"id"`
	Lane          string             `json:"lane"`
	State         domain.State       `json:"state"`
	WaitReason    *domain.WaitReason `json:"wait_reason"`
	NextAttemptAt *time.Time         `json:"next_attempt_at"`
	MergedInto    *string            `json:"merged_into" doc:"The digest that carries it"`
	Recipients    int                `json:"recipients"`
}

// ResponseCode tells of WeCom's single-use code for updating a card.
type ResponseCode struct {
	Available bool      `json:"available"`
	ExpiresAt time.Time `json:"expires_at"`
}

// responseCodeLife is how long WeCom honours a response_code.
const responseCodeLife = 72 * time.Hour

// Attempt is one call.
type Attempt struct {
	N          int       `json:"n"`
	Node       string    `json:"node"`
	StartedAt  time.Time `json:"started_at"`
	DurationMS float64   `json:"duration_ms"`
	Class      string    `json:"class"`
	HTTPStatus *int      `json:"http_status" doc:"null: no answer came"`
	Errcode    *int      `json:"errcode" doc:"WeCom's; null: it has not answered, or not with one"`
	Errmsg     string    `json:"errmsg"`
	Explain    *string   `json:"explain" doc:"What it means and what to do, in the language of Accept-Language"`
}

// Recipient is one address and its outcome.
type Recipient struct {
	Kind       domain.RecipientKind `json:"kind"`
	ID         string               `json:"id"`
	Outcome    domain.Outcome       `json:"outcome"`
	Reason     *string              `json:"reason"`
	Errcode    *int                 `json:"errcode" doc:"WeCom's for this recipient; null: it has given none"`
	DeliveryID string               `json:"delivery_id"`
	At         *time.Time           `json:"at"`
}

// Event is one fact of a timeline.
type Event struct {
	Seq        int64           `json:"seq"`
	Type       string          `json:"type"`
	MessageID  *string         `json:"message_id"`
	DeliveryID *string         `json:"delivery_id"`
	At         time.Time       `json:"at"`
	Data       json.RawMessage `json:"data"`
}

// List is one page.
type List[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor" doc:"Pass it as cursor to get the next page; null at the end"`
}

func page[T any](items []T, next string) List[T] {
	if items == nil {
		items = []T{}
	}
	return List[T]{Items: items, NextCursor: orNil(next)}
}

func orNil[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// timeOrNil shows a time as finely as the store keeps it, also before it did.
func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Microsecond)
	return &t
}

func (s *Server) links(id string) Links {
	return Links{Self: "/v1/messages/" + id, Console: s.cfg.PublicURL + "/console/messages/" + id}
}

func (s *Server) messageView(v domain.MessageView, lang i18n.Lang) Message {
	out := Message{MessageHead: messageHead(v), Links: s.messageLinks(v), Deliveries: make([]Delivery, 0, len(v.Deliveries))}
	for i := range v.Deliveries {
		out.Deliveries = append(out.Deliveries, deliveryView(&v.Deliveries[i], lang))
	}
	return out
}

func (s *Server) messageLine(v domain.MessageView) MessageLine {
	out := MessageLine{MessageHead: messageHead(v), Links: s.messageLinks(v), Deliveries: make([]DeliveryLine, 0, len(v.Deliveries))}
	for i := range v.Deliveries {
		out.Deliveries = append(out.Deliveries, deliveryLine(&v.Deliveries[i].Delivery))
	}
	return out
}

func (s *Server) messageLinks(v domain.MessageView) Links {
	out := s.links(v.Message.ID)
	if v.Merged > 0 {
		out.Merged = "/v1/messages?merged_into=" + v.Message.ID
	}
	return out
}

func messageHead(v domain.MessageView) MessageHead {
	m := v.Message
	state := v.State
	if state == "" {
		state = m.State
	}
	out := MessageHead{
		ID: m.ID, State: state, Scene: orNil(m.Scene), SceneVersion: orNil(m.SceneVersion), App: orNil(m.App),
		Type: m.Type, Title: m.Title, Priority: m.Priority.String(), Source: m.Source, Reference: orNil(m.Reference),
		DigestKey: orNil(m.DigestKey), MergedInto: orNil(m.MergedInto), ResendOf: orNil(m.ResendOf), KeyID: orNil(m.KeyID),
		RequestID: orNil(m.RequestID), CreatedAt: m.CreatedAt.UTC(), SendAt: timeOrNil(m.SendAt), ExpiresAt: timeOrNil(m.ExpiresAt),
		FinishedAt: timeOrNil(m.FinishedAt), Recipients: v.Counts,
		MergedCount: v.Merged,
	}
	if !state.Final() {
		out.WaitReason, out.NextAttemptAt = orNil(v.WaitReason), nextAttempt(v.WaitReason, v.NextAttemptAt)
	}
	return out
}

func deliveryLine(d *domain.Delivery) DeliveryLine {
	out := DeliveryLine{ID: d.ID, Lane: d.Lane, State: d.State, MergedInto: orNil(d.MergedInto), Recipients: d.Recipients}
	if d.State == domain.StateQueued || d.State == domain.StateScheduled {
		out.WaitReason, out.NextAttemptAt = orNil(d.WaitReason), nextAttempt(d.WaitReason, d.DueAt)
	}
	return out
}

// nextAttempt is when what waits is looked at again; nil for what waits for a
// person: at its due time it only ends.
func nextAttempt(reason domain.WaitReason, due time.Time) *time.Time {
	if reason == domain.WaitHeld {
		return nil
	}
	return timeOrNil(due)
}

func deliveryView(v *domain.DeliveryView, lang i18n.Lang) Delivery {
	out := Delivery{DeliveryLine: deliveryLine(&v.Delivery), Attempts: make([]Attempt, 0, len(v.Attempts))}
	for i := range v.Attempts {
		a := &v.Attempts[i]
		out.Attempts = append(out.Attempts, Attempt{
			N: a.N, Node: a.Node, StartedAt: a.StartedAt.UTC(), DurationMS: float64(a.Duration.Microseconds()) / 1000,
			Class: a.Class, HTTPStatus: orNil(a.HTTPStatus), Errcode: given(a.Errcode, a.Class == string(wecom.ClassOK)), Errmsg: a.Errmsg, Explain: explain(v, i, lang),
		})
		if a.MsgID != "" {
			out.MsgID = &a.MsgID
		}
		if a.ResponseCode != "" {
			ends := a.StartedAt.Add(responseCodeLife).UTC()
			out.ResponseCode = &ResponseCode{Available: time.Now().Before(ends), ExpiresAt: ends}
		}
	}
	return out
}

// given is an errcode of WeCom's; 0 is one only where WeCom has answered ok.
func given(errcode int, ok bool) *int {
	if errcode == 0 && !ok {
		return nil
	}
	return &errcode
}

func recipientView(r domain.Recipient) Recipient {
	// WeCom names the unreached in an answer that is ok for the others.
	ok := r.Outcome == domain.OutcomeAccepted || r.Outcome == domain.OutcomeInvalid || r.Outcome == domain.OutcomeUnlicensed
	return Recipient{Kind: r.Kind, ID: r.ID, Outcome: r.Outcome, Reason: orNil(r.Reason), Errcode: given(r.Errcode, ok), DeliveryID: r.DeliveryID, At: timeOrNil(r.At)}
}

func eventView(e domain.Event) Event {
	data := e.Data
	if len(data) == 0 {
		data = json.RawMessage("{}")
	}
	return Event{Seq: e.Seq, Type: e.Type, MessageID: orNil(e.MessageID), DeliveryID: orNil(e.DeliveryID), At: e.At.UTC(), Data: data}
}
