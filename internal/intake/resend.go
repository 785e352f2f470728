package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/plan"
	"hongyan/wecom"
)

// resendBound is the most recipients one resend addresses.
const resendBound = 100_000

// Resend makes a new message from an old one. The old one keeps its state: a
// final state never changes.
func (in *Intake) Resend(ctx context.Context, by domain.Caller, id string, ro domain.ResendOptions) (domain.Accepted, error) {
	view, err := in.cfg.Store.FindMessage(ctx, id)
	if err != nil {
		return domain.Accepted{}, err
	}
	if !view.State.Final() {
		return domain.Accepted{}, domain.Errorf(domain.CodeConflict, "the message is still %s; cancel it or wait until it has ended", view.State)
	}
	to, err := in.resendTo(ctx, id, ro.All)
	if err != nil {
		return domain.Accepted{}, err
	}
	if to.Empty() {
		return domain.Accepted{}, domain.Errorf(domain.CodeConflict, `nobody is left to send to: every recipient was reached; use "only":"all" to repeat it for everyone`)
	}
	o := submission{SubmitOptions: ro.Submit, resendOf: id, dry: true}
	o.Source = "resend"
	var p prepared
	if ro.Latest {
		var req domain.SendRequest
		if err := json.Unmarshal(view.Message.Request, &req); err != nil {
			return domain.Accepted{}, err
		}
		req.To, req.SendAt, req.DryRun = to, nil, false
		p, err = in.prepare(ctx, by, req, o, true)
	} else {
		p, err = in.same(by, view, to, o)
	}
	if err != nil {
		return domain.Accepted{}, err
	}
	return in.accept(ctx, by, p, ro.Submit)
}

func (in *Intake) resendTo(ctx context.Context, id string, everyone bool) (domain.To, error) {
	var to domain.To
	cursor, n := "", 0
	for {
		rows, next, err := in.cfg.Store.ListRecipients(ctx, id, 200, cursor)
		if err != nil {
			return to, err
		}
		for _, r := range rows {
			if !everyone && (r.Outcome == domain.OutcomeAccepted || r.Outcome == domain.OutcomeMerged || r.Outcome == domain.OutcomeWaiting) {
				continue
			}
			switch r.Kind {
			case domain.KindUser:
				to.Users = append(to.Users, r.ID)
			case domain.KindDepartment:
				to.Departments = append(to.Departments, r.ID)
			case domain.KindTag:
				to.Tags = append(to.Tags, r.ID)
			case domain.KindAll:
				to.All = true
			case domain.KindRobot, domain.KindChat:
			}
			n++
		}
		if next == "" || n >= resendBound {
			return to, nil
		}
		cursor = next
	}
}

// same plans the bodies of the old deliveries for new recipients.
func (in *Intake) same(by domain.Caller, view domain.MessageView, to domain.To, o submission) (prepared, error) {
	old := view.Message
	if !by.AllowsApp(old.App) || (old.Scene != "" && !by.AllowsScene(old.Scene)) {
		return prepared{}, domain.Errorf(domain.CodeForbidden, "this key may not use the message's scene or app")
	}
	now := time.Now().UTC()
	m := old
	m.ID, m.KeyID, m.Source, m.ResendOf = in.cfg.IDs.New(domain.PrefixMessage), by.KeyID, o.Source, old.ID
	m.RequestID, m.TraceParent = o.RequestID, o.TraceParent
	m.State, m.CreatedAt, m.SendAt, m.FinishedAt, m.MergedInto = domain.StateQueued, now, time.Time{}, time.Time{}, ""
	m.ExpiresAt = now.Add(max(old.ExpiresAt.Sub(old.CreatedAt), time.Minute))
	out := prepared{}
	var done [][]byte
	for _, dv := range view.Deliveries {
		d := dv.Delivery
		body, err := plan.Readdress(d.Body, to)
		if err != nil {
			return prepared{}, err
		}
		if containsBytes(done, body[0]) {
			continue // the same content for another batch of recipients
		}
		done = append(done, body[0])
		for _, b := range body {
			nd := domain.Delivery{
				ID: in.cfg.IDs.New(domain.PrefixDelivery), MessageID: m.ID, Lane: d.Lane, Priority: d.Priority,
				State: domain.StateQueued, DueAt: now, ExpiresAt: m.ExpiresAt, Body: b, Media: d.Media,
				DupInterval: -1, DupWindow: d.DupWindow, OnUncertain: d.OnUncertain, Since: now,
			}
			users, parties, tags, all := wecom.Receivers(b)
			if len(done) == 1 {
				out.recipients = appendRecipients(out.recipients, m.ID, nd.ID, users, parties, tags, all)
			}
			nd.Recipients = len(users) + len(parties) + len(tags)
			if all {
				nd.Recipients = 1
			}
			out.deliveries = append(out.deliveries, nd)
		}
	}
	m.Deliveries, m.Recipients = len(out.deliveries), len(out.recipients)
	out.message = m
	return out, nil
}

func containsBytes(list [][]byte, b []byte) bool {
	for _, x := range list {
		if bytes.Equal(x, b) {
			return true
		}
	}
	return false
}

func appendRecipients(rs []domain.Recipient, msg, dlv string, users, parties, tags []string, all bool) []domain.Recipient {
	add := func(kind domain.RecipientKind, ids []string) {
		for _, id := range ids {
			rs = append(rs, domain.Recipient{MessageID: msg, DeliveryID: dlv, Kind: kind, ID: id})
		}
	}
	if all {
		add(domain.KindAll, []string{"@all"})
		return rs
	}
	add(domain.KindUser, users)
	add(domain.KindDepartment, parties)
	add(domain.KindTag, tags)
	return rs
}
