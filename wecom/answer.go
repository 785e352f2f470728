package wecom

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Token is an access token as WeCom gave it.
type Token struct {
	Value     string
	ExpiresIn time.Duration
}

// SendResult is WeCom's answer to a message.
type SendResult struct {
	HTTPStatus     int
	Errcode        int
	Errmsg         string   // cleaned like [Error.Msg]
	InvalidUser    []string // lower-cased by WeCom
	InvalidParty   []string
	InvalidTag     []string
	UnlicensedUser []string
	MsgID          string // needed to recall the message
	ResponseCode   string // needed to update a card once within 72 h; treat as a secret
	Doubtful       bool   // accepted, but WeCom could not read all of the JSON
}

// UploadResult is a file that WeCom keeps for three days.
type UploadResult struct {
	MediaID   string
	CreatedAt time.Time // by WeCom's clock; zero when it did not say
}

// Agent is an application as WeCom shows it to its own token.
type Agent struct {
	ID             int64
	Name           string
	Description    string
	Closed         bool // switched off by an administrator
	RedirectDomain string
	HomeURL        string
	Users          []string // the visible range
	Departments    []int64
	Tags           []int64
}

// answer is the union of the answers that this package reads. Every member may
// be missing.
type answer struct {
	Errcode        json.Number `json:"errcode"`
	Errmsg         string      `json:"errmsg"`
	InvalidUser    list        `json:"invaliduser"`
	InvalidParty   list        `json:"invalidparty"`
	InvalidTag     list        `json:"invalidtag"`
	UnlicensedUser list        `json:"unlicenseduser"`
	MsgID          string      `json:"msgid"`
	ResponseCode   string      `json:"response_code"`

	AccessToken string      `json:"access_token"`
	ExpiresIn   json.Number `json:"expires_in"`
	MediaID     string      `json:"media_id"`
	CreatedAt   json.Number `json:"created_at"`
	URL         string      `json:"url"`
}

// code returns the errcode; known is false when there was none. A number that
// is not an integer in range makes ok false.
func (a *answer) code() (code int, known, ok bool) {
	if a.Errcode == "" {
		return 0, false, true
	}
	n, err := strconv.ParseInt(a.Errcode.String(), 10, 64)
	if err != nil || n > 1<<40 || n < -(1<<40) {
		return 0, false, false
	}
	return int(n), true, true
}

// jsonWarning is what WeCom says when it could read only part of the JSON.
const jsonWarning = "wrong json format"

func (a *answer) result(status, code int, secrets ...string) SendResult {
	return SendResult{
		HTTPStatus:     status,
		Errcode:        code,
		Errmsg:         clean(a.Errmsg, secrets...),
		InvalidUser:    a.InvalidUser,
		InvalidParty:   a.InvalidParty,
		InvalidTag:     a.InvalidTag,
		UnlicensedUser: a.UnlicensedUser,
		MsgID:          a.MsgID,
		ResponseCode:   a.ResponseCode,
		Doubtful:       a.Errmsg != "ok" && strings.Contains(strings.ToLower(a.Errmsg), jsonWarning),
	}
}

// list is a list of names that WeCom writes with bars between them in some
// calls and as an array in others.
type list []string

// UnmarshalJSON reads both forms; what is neither is an empty list.
func (l *list) UnmarshalJSON(b []byte) error {
	*l = nil
	switch {
	case len(b) > 0 && b[0] == '"':
		*l = splitBar(text(b))
	case len(b) > 0 && b[0] == '[':
		var items []any
		if err := json.Unmarshal(b, &items); err != nil {
			return err
		}
		for _, it := range items {
			switch v := it.(type) {
			case string:
				*l = append(*l, splitBar(v)...)
			case float64:
				*l = append(*l, strconv.FormatFloat(v, 'f', -1, 64))
			}
		}
	case len(b) > 0 && b[0] >= '0' && b[0] <= '9':
		*l = list{string(b)}
	}
	return nil
}
