package wecom

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"
)

const (
	maxErrmsg  = 512     // bytes kept of WeCom's errmsg
	maxForeign = 8 << 10 // bytes of a foreign text that are looked at
)

// Error is a call that did not end with errcode 0. It holds no secret: every
// text in it has been cleaned.
type Error struct {
	Op         string // gettoken, send, upload, uploadimg, agent_get, appchat_get, department_simplelist, user_simplelist, tag_get
	Class      Class
	Code       int    // WeCom's errcode, 0 when the failure is not an answer of WeCom
	Msg        string // WeCom's errmsg or a description of the answer; no control characters, at most 512 bytes
	Hint       string // the number that WeCom's support asks for
	CallerIP   string // the address that WeCom saw the call come from; a valid IP or empty
	HTTPStatus int    // 0 when no answer came
	Result     *SendResult
	Err        error // transport cause, cleaned; errors.Is finds context errors and syscall.Errno
}

// Error describes the failure in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("wecom ")
	b.WriteString(e.Op)
	b.WriteString(": ")
	if e.Code != 0 {
		b.WriteString("errcode ")
		b.WriteString(strconv.Itoa(e.Code))
		b.WriteString(", ")
	}
	b.WriteString(string(e.Class))
	if e.Code == 0 && e.HTTPStatus != 0 {
		b.WriteString(", status ")
		b.WriteString(strconv.Itoa(e.HTTPStatus))
	}
	if e.Msg != "" {
		b.WriteString(": ")
		b.WriteString(e.Msg)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cleaned transport cause.
func (e *Error) Unwrap() error { return e.Err }

// cause stands for a transport error: its text without secrets, and of its
// chain only values that cannot carry any.
type cause struct {
	text string
	is   error // context.Canceled, context.DeadlineExceeded, a syscall.Errno, io.ErrUnexpectedEOF or nil
}

func (c *cause) Error() string { return c.text }
func (c *cause) Unwrap() error { return c.is }

// scrub turns a transport error into one that is safe to show.
func scrub(err error, secrets ...string) error {
	for { // url.Error prints the whole URL
		u, ok := errors.AsType[*url.Error](err)
		if !ok || u.Err == nil {
			break
		}
		err = u.Err
	}
	c := &cause{text: clean(err.Error(), secrets...)}
	switch {
	case errors.Is(err, context.Canceled):
		c.is = context.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		c.is = context.DeadlineExceeded
	case errors.Is(err, io.ErrUnexpectedEOF):
		c.is = io.ErrUnexpectedEOF
	default:
		if no, ok := errors.AsType[syscall.Errno](err); ok {
			c.is = no
		} else if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() {
			c.is = context.DeadlineExceeded
		}
	}
	return c
}

// mask replaces what was secret.
const mask = "***"

// clean makes foreign text safe to keep: secrets masked, control characters
// turned into spaces, invalid UTF-8 replaced, at most maxErrmsg bytes.
func clean(s string, secrets ...string) string {
	if s == "ok" {
		return s
	}
	cut, longest := len(s) > maxForeign, 0
	if cut {
		s = s[:maxForeign]
	}
	for _, secret := range secrets {
		for _, form := range spellings(secret) {
			s = strings.ReplaceAll(s, form, mask)
			longest = max(longest, len(form))
		}
	}
	if cut { // the end may be the beginning of a secret
		s = s[:max(0, len(s)-longest)]
	}
	s = strings.ToValidUTF8(maskParams(s), "?")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	return CutBytes(strings.TrimSpace(s), maxErrmsg, "…")
}

// spellings returns the ways in which a secret may stand in a foreign text:
// plain and escaped for a URL, in Go's quotes, in JSON. Secrets shorter than
// four bytes are not looked for, which would only garble the text.
func spellings(secret string) []string {
	if len(secret) < 4 {
		return nil
	}
	out := []string{secret}
	add := func(form string) {
		if !slices.Contains(out, form) {
			out = append(out, form)
		}
	}
	add(url.QueryEscape(secret))
	add(url.PathEscape(secret))
	quoted := strconv.Quote(secret)
	add(quoted[1 : len(quoted)-1])
	if j, err := json.Marshal(secret); err == nil {
		add(string(j[1 : len(j)-1]))
	}
	return out
}

// maskParams masks the values of query parameters and JSON members that are
// known to be secret, whoever's they are.
func maskParams(s string) string {
	for _, name := range [...]string{"access_token", "corpsecret", "secret", "suite_access_token", "response_code", "key"} {
		for from := 0; from < len(s); {
			i := strings.Index(s[from:], name)
			if i < 0 {
				break
			}
			start, ok := paramValue(s, from+i, len(name))
			if !ok {
				from += i + len(name)
				continue
			}
			end := start
			for end < len(s) && !strings.ContainsRune("&\"'`<>;, \t\r\n)]}\\", rune(s[end])) {
				end++
			}
			if end > start && s[start:end] != mask {
				s = s[:start] + mask + s[end:]
			}
			from = start + min(len(mask), len(s)-start)
		}
	}
	return s
}

// paramValue says where the value of a parameter starts whose name of n bytes
// is at i, if that is one: name=value, "name":"value", "name" : "value".
func paramValue(s string, i, n int) (int, bool) {
	if i > 0 {
		if c := s[i-1]; c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return 0, false
		}
	}
	j := i + n
	if j < len(s) && s[j] == '=' {
		return j + 1, true
	}
	if strings.HasPrefix(s[j:], "%3D") || strings.HasPrefix(s[j:], "%3d") {
		return j + 3, true
	}
	rest := strings.TrimLeft(s[j:], `\"`)
	if len(rest) == len(s[j:]) {
		return 0, false
	}
	rest = strings.TrimLeft(rest, " ")
	if !strings.HasPrefix(rest, ":") {
		return 0, false
	}
	rest = strings.TrimLeft(rest[1:], ` \"`)
	return len(s) - len(rest), true
}

// hintOf finds WeCom's support number in an errmsg.
func hintOf(msg string) string {
	_, rest, ok := strings.Cut(msg, "hint: [")
	if !ok {
		return ""
	}
	hint, _, ok := strings.Cut(rest, "]")
	if !ok || len(hint) > 128 {
		return ""
	}
	return hint
}

// callerIPOf finds the address in an errmsg that WeCom saw the call come from.
func callerIPOf(msg string) string {
	_, rest, ok := strings.Cut(msg, "from ip: ")
	if !ok {
		return ""
	}
	if i := strings.IndexAny(rest, ", \t"); i >= 0 {
		rest = rest[:i]
	}
	ip, err := netip.ParseAddr(strings.TrimRight(rest, "."))
	if err != nil {
		return ""
	}
	return ip.String()
}

// statusText names a status for messages about answers that are not WeCom's.
func statusText(code int) string {
	if t := http.StatusText(code); t != "" {
		return t
	}
	return "unknown status"
}
