package domain

import (
	"encoding/json"
	"strconv"
)

// To names whom a message is for.
type To struct {
	Users       []string `json:"users,omitempty"`
	Departments []string `json:"departments,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	Audiences   []string `json:"audiences,omitempty"`
	Mobiles     []string `json:"mobiles,omitempty"`
	Emails      []string `json:"emails,omitempty"`
	Robots      []string `json:"robots,omitempty"`
	Chats       []string `json:"chats,omitempty"`
	All         bool     `json:"all,omitempty"`
}

// Empty reports whether nobody is named.
func (t To) Empty() bool {
	return !t.All && len(t.Users)+len(t.Departments)+len(t.Tags)+len(t.Audiences)+
		len(t.Mobiles)+len(t.Emails)+len(t.Robots)+len(t.Chats) == 0
}

// AppendRecipients appends a row for each receiver that is named by itself, as it
// is before anything is sent.
func (t To) AppendRecipients(dst []Recipient, message, delivery string) []Recipient {
	add := func(kind RecipientKind, ids ...string) {
		for _, id := range ids {
			dst = append(dst, Recipient{MessageID: message, DeliveryID: delivery, Kind: kind, ID: id, Outcome: OutcomeWaiting})
		}
	}
	if t.All {
		add(KindAll, "@all")
	}
	add(KindUser, t.Users...)
	add(KindDepartment, t.Departments...)
	add(KindTag, t.Tags...)
	add(KindChat, t.Chats...)
	add(KindRobot, t.Robots...)
	return dst
}

// RobotsOnly reports whether only robots are named: they need no app.
func (t To) RobotsOnly() bool {
	robots := len(t.Robots) > 0
	t.Robots = nil
	return robots && t.Empty()
}

// SendRequest is the body of POST /v1/messages. Where an empty text would mean
// something else than no text, the field is a pointer: nil is not given.
type SendRequest struct {
	Scene         *SceneRef       `json:"scene,omitempty"`
	App           string          `json:"app,omitempty"`
	Type          *TypeRef        `json:"type,omitempty"`
	Content       json.RawMessage `json:"content,omitempty"`
	To            To              `json:"to,omitzero"`
	Data          json.RawMessage `json:"data,omitempty"`
	Priority      *string         `json:"priority,omitempty"`
	SendAt        *string         `json:"send_at,omitempty"`
	ExpiresIn     *string         `json:"expires_in,omitempty"`
	Reference     string          `json:"reference,omitempty"`
	DigestKey     string          `json:"digest_key,omitempty"`
	Overflow      *string         `json:"overflow,omitempty"`
	OnUncertain   *string         `json:"on_uncertain,omitempty"`
	Safe          int             `json:"safe,omitempty"`
	EnableIDTrans int             `json:"enable_id_trans,omitempty"`
	DryRun        bool            `json:"dry_run,omitempty"`
}

// SceneRef is a scene's key, or its integer code.
type SceneRef struct {
	Key   string
	Code  int  // valid when Key is empty
	Blank bool // an empty text was given: neither
}

// MarshalJSON writes the key as a string or the code as a number.
func (r SceneRef) MarshalJSON() ([]byte, error) {
	if r.Key != "" || r.Blank {
		return json.Marshal(r.Key)
	}
	return json.Marshal(r.Code)
}

// UnmarshalJSON reads a string or an integer.
func (r *SceneRef) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		err := json.Unmarshal(b, &r.Key)
		r.Blank = err == nil && r.Key == ""
		return err
	}
	return json.Unmarshal(b, &r.Code)
}

// TypeRef is a WeCom msgtype, or the number 0–6 of the original design.
type TypeRef struct {
	Name   string
	Number int  // valid when Name is empty
	Blank  bool // an empty text was given: neither
}

// MarshalJSON writes the name as a string or the number as a number.
func (r TypeRef) MarshalJSON() ([]byte, error) {
	if r.Name != "" || r.Blank {
		return json.Marshal(r.Name)
	}
	return json.Marshal(r.Number)
}

// UnmarshalJSON reads a string or an integer.
func (r *TypeRef) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		err := json.Unmarshal(b, &r.Name)
		r.Blank = err == nil && r.Name == ""
		return err
	}
	return json.Unmarshal(b, &r.Number)
}

// ValidDepartment reports whether s can be the id of a department, a positive
// number of 32 bits in its usual spelling: 02 would be another name of 2.
func ValidDepartment(s string) bool {
	n, err := strconv.ParseUint(s, 10, 32)
	return err == nil && n > 0 && s[0] != '0'
}
