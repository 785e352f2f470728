package wecom

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Receivers reads whom a message/send body is for. With all set ("@all") the
// lists are empty, because WeCom ignores them then. Empty entries are left
// out; order and spelling are kept. A body that is not a JSON object gives
// nothing. It looks at the top level only and does not check the rest.
func Receivers(body []byte) (users, parties, tags []string, all bool) {
	var to, party, tag string
	ok := eachMember(body, func(key, value []byte) bool {
		switch string(key) {
		case "touser":
			to = text(value)
		case "toparty":
			party = text(value)
		case "totag":
			tag = text(value)
		}
		return true
	})
	if !ok {
		return nil, nil, nil, false
	}
	users = splitBar(to)
	for _, u := range users {
		if u == "@all" {
			return nil, nil, nil, true
		}
	}
	return users, splitBar(party), splitBar(tag), false
}

// Flags reads safe and enable_id_trans of a message/send body; 0 is what WeCom
// takes when one is missing or no number.
func Flags(body []byte) (safe, idTrans int) {
	eachMember(body, func(key, value []byte) bool {
		switch string(key) {
		case "safe":
			safe, _ = strconv.Atoi(string(value))
		case "enable_id_trans":
			idTrans, _ = strconv.Atoi(string(value))
		}
		return true
	})
	return safe, idTrans
}

// Chat reads which group chat an appchat/send body is for; empty when it names
// none.
func Chat(body []byte) (chat string) {
	eachMember(body, func(key, value []byte) bool {
		if string(key) == "chatid" {
			chat = text(value)
		}
		return chat == ""
	})
	return chat
}

// WithUsers returns a message/send body with other users under touser; all
// else stays byte for byte. It reports false when the body is no JSON object
// with a touser, or users is empty.
func WithUsers(body []byte, users []string) ([]byte, bool) {
	var old []byte
	ok := eachMember(body, func(key, value []byte) bool {
		if string(key) == "touser" {
			old = value
		}
		return old == nil
	})
	if !ok || old == nil || len(users) == 0 {
		return nil, false
	}
	quoted, err := json.Marshal(strings.Join(users, "|"))
	if err != nil {
		return nil, false
	}
	at := cap(body) - cap(old) // old is a part of body
	out := make([]byte, 0, len(body)-len(old)+len(quoted))
	out = append(append(out, body[:at]...), quoted...)
	return append(out, body[at+len(old):]...), true
}

// text decodes a JSON string; anything else is empty.
func text(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// splitBar divides a list with bars, leaving out empty entries.
func splitBar(s string) []string {
	if s == "" {
		return nil
	}
	out := make([]string, 0, strings.Count(s, "|")+1)
	for part := range strings.SplitSeq(s, "|") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// eachMember calls f with the raw key (without quotes) and raw value of every
// member of a JSON object until f returns false. It finds ends of values by
// quotes and brackets only, which is enough for JSON that was made by a
// program, and reports whether b looked like an object.
func eachMember(b []byte, f func(key, value []byte) bool) bool {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return false
	}
	i = skipSpace(b, i+1)
	for i < len(b) && b[i] != '}' {
		end := stringEnd(b, i)
		if end < 0 {
			return false
		}
		key := b[i+1 : end-1]
		i = skipSpace(b, end)
		if i >= len(b) || b[i] != ':' {
			return false
		}
		i = skipSpace(b, i+1)
		end = valueEnd(b, i)
		if end <= i {
			return false
		}
		if !f(key, b[i:end]) {
			return true
		}
		i = skipSpace(b, end)
		if i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return i < len(b)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// stringEnd returns the index after the closing quote of the string at i, or
// -1 when there is none.
func stringEnd(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	for i++; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		slashes := 0
		for b[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
	return -1
}

// valueEnd returns the index after the value at i, or -1.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		return nestedEnd(b, i)
	}
	for ; i < len(b); i++ {
		switch b[i] {
		case ',', '}', ']', ' ', '\n', '\t', '\r':
			return i
		}
	}
	return -1
}

func nestedEnd(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			if i = stringEnd(b, i); i < 0 {
				return -1
			}
			continue
		}
		i++
	}
	return -1
}
