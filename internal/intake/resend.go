package intake

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/plan"
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
	rows, err := in.recipientsOf(ctx, id)
	if err != nil {
		return domain.Accepted{}, err
	}
	var carried digests
	if !ro.All {
		if carried, err = in.digestsOf(ctx, view.Deliveries); err != nil {
			return domain.Accepted{}, err
		}
	}
	o := submission{SubmitOptions: ro.Submit, resendOf: id, dry: true}
	o.Source = "resend"
	var p prepared
	nobody := domain.Errorf(domain.CodeConflict, `nobody is left to send to: every recipient was reached; use "only":"all" to repeat it for everyone`)
	if open, ok := carried.open(); ok {
		nobody = domain.Errorf(domain.CodeConflict, `nobody is left to send to now: the digest %s, which carries it, is still %s; wait until that has ended, or use "only":"all" to repeat it for everyone`,
			open.id, open.state)
	}
	if ro.Latest {
		to := resendTo(view.Deliveries, rows, carried, ro.All)
		if to.Empty() {
			return domain.Accepted{}, nobody
		}
		var req domain.SendRequest
		if err := json.Unmarshal(view.Message.Request, &req); err != nil {
			return domain.Accepted{}, err
		}
		req.To, req.SendAt, req.DryRun = to, nil, false
		p, err = in.prepare(ctx, by, req, o, true)
	} else {
		var lacks []lack
		if lacks, err = missing(view.Deliveries, rows, carried, ro.All); err == nil {
			p, err = in.same(by, view, lacks, o)
		}
	}
	if err == nil && len(p.deliveries) == 0 {
		err = nobody
	}
	if err != nil {
		return in.repeated(ctx, by, ro.Submit, err)
	}
	return in.accept(ctx, by, p, ro.Submit)
}

// recipientsOf reads the recipients of a message, at most resendBound.
func (in *Intake) recipientsOf(ctx context.Context, id string) (rows []domain.Recipient, err error) {
	for cursor := ""; ; {
		page, next, err := in.cfg.Store.ListRecipients(ctx, id, 200, cursor)
		if err != nil {
			return nil, err
		}
		rows = append(rows, page...)
		if next == "" || len(rows) >= resendBound {
			return rows, nil
		}
		cursor = next
	}
}

// resendTo names those who get it anew: all, or those whom not everything has
// reached. What is rendered anew may fall into other pieces, so that a recipient
// who lacks one piece gets the whole.
func resendTo(deliveries []domain.DeliveryView, rows []domain.Recipient, carried digests, everyone bool) (to domain.To) {
	for _, r := range rows {
		lacks := true
		switch r.Outcome {
		case domain.OutcomeAccepted, domain.OutcomeWaiting:
			lacks = false
		case domain.OutcomeMerged:
			lacks = slices.ContainsFunc(deliveries, func(d domain.DeliveryView) bool { return carried.missed(d.Delivery.MergedInto, addressOf(r)) })
		default:
		}
		if everyone || lacks {
			addTo(&to, r.Kind, r.ID)
		}
	}
	return to
}

func addTo(to *domain.To, kind domain.RecipientKind, id string) {
	switch kind {
	case domain.KindUser:
		to.Users = append(to.Users, id)
	case domain.KindDepartment:
		to.Departments = append(to.Departments, id)
	case domain.KindTag:
		to.Tags = append(to.Tags, id)
	case domain.KindAll:
		to.All = true
	case domain.KindRobot:
		to.Robots = append(to.Robots, id)
	case domain.KindChat:
		to.Chats = append(to.Chats, id)
	}
}

// lack is what some recipients have not got: these deliveries, in order.
type lack struct {
	of []*domain.Delivery // one for each content
	to domain.To
}

// missing says who lacks which contents: all of what a delivery carried, for
// everyone, or only what did not arrive. A piece of a split text is a content
// of its own; recipients who lack the same are together.
func missing(deliveries []domain.DeliveryView, rows []domain.Recipient, carried digests, everyone bool) ([]lack, error) {
	refused := refusedIn(rows)
	var order []address
	spelled := map[address]string{}
	lacks := map[address][]*domain.Delivery{}
	content := map[string]string{} // by delivery
	for i := range deliveries {
		d := &deliveries[i].Delivery
		if !everyone && d.State == domain.StateSent {
			continue
		}
		sum, err := plan.SameContent(d.Lane, d.Body)
		if err != nil {
			return nil, err
		}
		content[d.ID] = fmt.Sprintf("%d:%x ", d.Handling.Part, sum)
		for _, r := range plan.Addressed(d.Lane, d.Body).AppendRecipients(nil, "", "") {
			a := addressOf(r)
			if !everyone && (d.State == domain.StatePartial && !refused[a] || d.State == domain.StateMerged && !carried.missed(d.MergedInto, a)) {
				continue
			}
			if _, known := spelled[a]; !known {
				order, spelled[a] = append(order, a), r.ID
			}
			lacks[a] = append(lacks[a], d)
		}
	}
	var out []lack
	at := map[string]int{} // by what is lacking
	for _, a := range order {
		ds := lacks[a]
		slices.SortStableFunc(ds, func(x, y *domain.Delivery) int { return x.Handling.Part - y.Handling.Part })
		var name strings.Builder
		for _, d := range ds {
			name.WriteString(content[d.ID])
		}
		i, known := at[name.String()]
		if !known {
			i = len(out)
			at[name.String()], out = i, append(out, lack{of: ds})
		}
		addTo(&out[i].to, a.kind, spelled[a])
	}
	return out, nil
}

// same plans the bodies of the old deliveries for those who lack them.
func (in *Intake) same(by domain.Caller, view domain.MessageView, lacks []lack, o submission) (prepared, error) {
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
	for _, l := range lacks {
		for i, d := range l.of {
			bodies, err := plan.Readdress(d.Lane, d.Body, l.to)
			if err != nil {
				return prepared{}, err
			}
			for _, b := range bodies {
				nd := domain.Delivery{
					ID: in.cfg.IDs.New(domain.PrefixDelivery), MessageID: m.ID, Lane: d.Lane, Priority: d.Priority,
					ExpiresAt: m.ExpiresAt, Body: b, Media: d.Media,
					DupInterval: -1, DupWindow: d.DupWindow, OnUncertain: d.OnUncertain,
					Handling: domain.Handling{Quiet: d.Handling.Quiet},
				}
				if err := in.cfg.Planner.Schedule(&nd, now, time.Time{}); err != nil {
					return prepared{}, err
				}
				m.State = nd.State // of all: they have the same scene
				if len(l.of) > 1 {
					nd.Handling.Part = i + 1
				}
				to := plan.Addressed(nd.Lane, nd.Body).AppendRecipients(nil, m.ID, nd.ID)
				nd.Recipients = len(to)
				if i == 0 {
					out.recipients = append(out.recipients, to...)
				}
				out.deliveries = append(out.deliveries, nd)
			}
		}
	}
	m.Deliveries, m.Recipients = len(out.deliveries), len(out.recipients)
	out.message = m
	return out, nil
}
