package dispatch

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// TestReceiversNotReached holds WeCom's lists against the receivers of the
// delivery, not against their number.
func TestReceiversNotReached(t *testing.T) {
	const two = `{"touser":"U35|u36","msgtype":"text"}`
	for name, c := range map[string]struct {
		body string
		res  wecom.SendResult
		next domain.State
		want []string // kind, id, reason
		also string   // in errmsg
	}{
		"nobody named":         {body: two, next: domain.StateSent},
		"one":                  {body: two, res: wecom.SendResult{InvalidUser: []string{"u35"}}, next: domain.StatePartial, want: []string{"user U35 invaliduser"}},
		"one in both lists":    {body: two, res: wecom.SendResult{InvalidUser: []string{"u35"}, UnlicensedUser: []string{"u35"}}, next: domain.StatePartial, want: []string{"user U35 invaliduser"}},
		"one twice":            {body: two, res: wecom.SendResult{UnlicensedUser: []string{"u35", "U35"}}, next: domain.StatePartial, want: []string{"user U35 unlicenseduser"}},
		"strangers":            {body: two, res: wecom.SendResult{InvalidUser: []string{"x", "y"}}, next: domain.StateSent, also: "invaliduser:x invaliduser:y"},
		"one and strangers":    {body: two, res: wecom.SendResult{InvalidUser: []string{"x", "u36", "y"}}, next: domain.StatePartial, want: []string{"user u36 invaliduser"}, also: "invaliduser:x invaliduser:y"},
		"both":                 {body: two, res: wecom.SendResult{InvalidUser: []string{"u36"}, UnlicensedUser: []string{"u35"}}, next: domain.StateFailed, want: []string{"user u36 invaliduser", "user U35 unlicenseduser"}},
		"a member of a party":  {body: `{"toparty":"2|3","msgtype":"text"}`, res: wecom.SendResult{UnlicensedUser: []string{"u1"}, InvalidParty: []string{"9"}}, next: domain.StateSent, also: "unlicenseduser:u1"},
		"a party":              {body: `{"touser":"2","toparty":"2|3"}`, res: wecom.SendResult{InvalidParty: []string{"2", "2"}}, next: domain.StatePartial, want: []string{"department 2 invalidparty"}},
		"a tag":                {body: `{"totag":"7"}`, res: wecom.SendResult{InvalidTag: []string{"7"}}, next: domain.StateFailed, want: []string{"tag 7 invalidtag"}},
		"somebody of all":      {body: `{"touser":"@all"}`, res: wecom.SendResult{InvalidUser: []string{"u1"}}, next: domain.StateSent, also: "invaliduser:u1"},
		"all":                  {body: `{"touser":"@all"}`, res: wecom.SendResult{InvalidUser: []string{"@all"}}, next: domain.StateFailed, want: []string{"all @all invaliduser"}},
		"a chat has no member": {body: `{"chatid":"c1"}`, res: wecom.SendResult{InvalidUser: []string{"u1"}}, next: domain.StateSent, also: "invaliduser:u1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Config{Apps: apps{}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
			c.res.Errmsg = "ok"
			d := &domain.Delivery{Lane: "app:ops", Body: []byte(c.body), Recipients: 2, StartedAt: time.Now()}
			r := s.judge(d, domain.App{Key: "ops"}, c.res, nil, time.Now()).Result
			require.Equal(t, c.next, r.Next)
			require.Equal(t, c.want, said(r.Rejected))
			if c.also == "" {
				require.Equal(t, "ok", r.Attempt.Errmsg)
			} else {
				require.Contains(t, r.Attempt.Errmsg, c.also)
			}
		})
	}
}

func said(rs []domain.Recipient) (out []string) {
	for _, r := range rs {
		out = append(out, string(r.Kind)+" "+r.ID+" "+r.Reason)
	}
	return out
}

// TestRefusedReceivers: of a refusal the receivers carry its errcode.
func TestRefusedReceivers(t *testing.T) {
	s := New(Config{Apps: apps{}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	d := &domain.Delivery{Lane: "app:ops", Body: []byte(`{"touser":"a|b"}`), Recipients: 2, StartedAt: time.Now()}
	refusal := &wecom.Error{Op: "send", Class: wecom.ClassRecipient, Code: 81013, Result: &wecom.SendResult{Errcode: 81013, InvalidUser: []string{"a", "b", "c"}}}
	r := s.judge(d, domain.App{Key: "ops"}, wecom.SendResult{}, refusal, time.Now()).Result
	require.Equal(t, domain.StateFailed, r.Next)
	require.Equal(t, []string{"user a invaliduser", "user b invaliduser"}, said(r.Rejected))
	for _, x := range r.Rejected {
		require.Equal(t, 81013, x.Errcode)
	}
}
