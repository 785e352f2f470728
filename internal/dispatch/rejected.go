package dispatch

import (
	"strings"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// What an attempt keeps, in bytes, of the ids that WeCom named although the
// delivery is not for them.
const (
	maxStrangers = 200
	maxID        = 64 // what is longer is no id of WeCom's
)

// verdict is what WeCom said of the receivers of one delivery.
type verdict struct {
	rejected  []domain.Recipient // receivers that were not reached, each once
	all       bool               // nobody was reached
	strangers string             // ids that are no receivers: members of a department, mostly
}

// judgeReceivers matches the ids that WeCom named as not reached against those
// whom the delivery is for, without regard to case, as WeCom does. WeCom may
// name one twice, in one list or in two, and ids that nobody asked for; neither
// tells of a receiver that is not named.
func judgeReceivers(body []byte, res *wecom.SendResult) verdict {
	if len(res.InvalidUser)+len(res.InvalidParty)+len(res.InvalidTag)+len(res.UnlicensedUser) == 0 {
		return verdict{}
	}
	type address struct {
		kind domain.RecipientKind
		id   string
	}
	open := map[address]string{} // receivers not named yet, in their own spelling
	expect := func(kind domain.RecipientKind, ids []string) {
		for _, id := range ids {
			open[address{kind, strings.ToLower(id)}] = id
		}
	}
	users, parties, tags, everyone := wecom.Receivers(body)
	if everyone {
		expect(domain.KindAll, []string{"@all"})
	}
	expect(domain.KindUser, users)
	expect(domain.KindDepartment, parties)
	expect(domain.KindTag, tags)

	var v verdict
	named := map[address]bool{}
	var strange strings.Builder
	for _, l := range []struct {
		ids     []string
		kind    domain.RecipientKind
		outcome domain.Outcome
		reason  string
	}{
		{res.InvalidUser, domain.KindUser, domain.OutcomeInvalid, "invaliduser"},
		{res.InvalidParty, domain.KindDepartment, domain.OutcomeInvalid, "invalidparty"},
		{res.InvalidTag, domain.KindTag, domain.OutcomeInvalid, "invalidtag"},
		{res.UnlicensedUser, domain.KindUser, domain.OutcomeUnlicensed, "unlicenseduser"},
	} {
		for _, id := range l.ids {
			a := address{l.kind, strings.ToLower(id)}
			if a.id == "@all" {
				a.kind = domain.KindAll
			}
			if named[a] {
				continue
			}
			named[a] = true
			if own, ours := open[a]; ours {
				delete(open, a)
				v.rejected = append(v.rejected, domain.Recipient{Kind: a.kind, ID: own, Outcome: l.outcome, Reason: l.reason, Errcode: res.Errcode})
			} else if len(id) <= maxID && strange.Len() < maxStrangers {
				strange.WriteString(" " + l.reason + ":" + id)
			}
		}
	}
	v.all = len(v.rejected) > 0 && len(open) == 0
	v.strangers = wecom.CutBytes(strings.TrimSpace(strange.String()), maxStrangers, "…")
	return v
}
