package sandbox

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// envelope is the part of a message's body that all kinds share. WeCom
// reads what it can of a body that is not clean and warns; so does this.
type envelope struct {
	ToUser   string `json:"touser,omitempty"`
	ToParty  string `json:"toparty,omitempty"`
	ToTag    string `json:"totag,omitempty"`
	MsgType  string `json:"-"`
	chatID   string // appchat/send only
	agentID  string // digits as given, "" when missing
	safe     int64
	check    int64
	interval int64
	content  json.RawMessage
	warn     bool
}

func parseEnvelope(body []byte) envelope {
	fields, clean := parseFields(body)
	e := envelope{warn: !clean}
	e.ToUser = e.text(fields["touser"])
	e.ToParty = e.text(fields["toparty"])
	e.ToTag = e.text(fields["totag"])
	e.MsgType = e.text(fields["msgtype"])
	e.agentID = e.digits(fields["agentid"])
	e.safe = e.number(fields["safe"])
	e.check = e.number(fields["enable_duplicate_check"])
	e.interval = e.number(fields["duplicate_check_interval"])
	_ = read(fields["chatid"], &e.chatID)
	e.content = fields[e.MsgType]
	return e
}

// parseFields returns the members of the JSON object at the start of body as
// far as they can be read, and whether body is exactly one object.
func parseFields(body []byte) (map[string]json.RawMessage, bool) {
	fields := map[string]json.RawMessage{}
	if json.Unmarshal(body, &fields) == nil && fields != nil {
		return fields, true
	}
	fields = map[string]json.RawMessage{}
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fields, false
	}
	for dec.More() {
		t, err := dec.Token()
		key, isKey := t.(string)
		if err != nil || !isKey {
			return fields, false
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return fields, false
		}
		fields[key] = v
	}
	if _, err := dec.Token(); err != nil {
		return fields, false
	}
	return fields, len(bytes.TrimSpace(body[dec.InputOffset():])) == 0
}

// text reads a string; a number stands for its digits, with a warning.
func (e *envelope) text(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	var v string
	if json.Unmarshal(raw, &v) == nil {
		return v
	}
	e.warn = true
	if _, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return string(raw)
	}
	return ""
}

// digits reads an integer as text. A string is taken without a warning, as
// many scripts in the field send one.
func (e *envelope) digits(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	if raw[0] == '"' {
		return e.text(raw)
	}
	return string(raw)
}

func (e *envelope) number(raw json.RawMessage) int64 {
	if len(raw) == 0 || string(raw) == "null" {
		return 0
	}
	n, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64)
	if err != nil || raw[0] == '"' {
		e.warn = true
	}
	return n
}

// splitList splits WeCom's bar-joined lists, without empty entries.
func splitList(s string) []string {
	if s == "" {
		return nil
	}
	var out []string
	for part := range strings.SplitSeq(s, "|") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// checkAgent compares the agentid of a request with the app of its token.
func checkAgent(given string, app App) *refusal {
	if given == "" {
		return refuse(codeMissingAgent)
	}
	id, err := strconv.ParseInt(given, 10, 64)
	if err != nil || id <= 0 {
		return refuse(codeInvalidAgent)
	}
	if id != app.AgentID {
		return refuse(codeOtherAgent)
	}
	return nil
}
