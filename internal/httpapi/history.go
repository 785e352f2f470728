package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"hongyan/internal/domain"
)

func listMessages(s *Server, w http.ResponseWriter, r *request) error {
	q := &r.query
	f := domain.MessageFilter{
		State: domain.State(q.text("state")), Scene: q.text("scene"), App: q.text("app"), User: q.text("user"),
		Reference: q.text("reference"), Source: q.text("source"), Merged: q.text("merged_into"), Errcode: q.integer("errcode"),
		Since: q.time("since"), Until: q.time("until"), Query: q.text("q"),
		Scenes: r.caller.Scenes, Apps: r.caller.Apps, Limit: q.limit(), Cursor: q.after("messages"),
	}
	if f.State != "" && !f.State.Valid() {
		names := make([]string, 0, len(domain.States()))
		for _, st := range domain.States() {
			names = append(names, string(st))
		}
		q.add("state", "enum", "is not a state", "use one of: "+strings.Join(names, ", "), names)
	}
	if f.Merged != "" && !domain.ValidID(domain.PrefixMessage, f.Merged) {
		q.add("merged_into", "format", "is not the id of a message", "give the id of a digest", "msg_…")
	}
	if err := q.err(); err != nil {
		return err
	}
	if s.cfg.History == nil {
		return errNoService
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	p, err := s.cfg.History.ListMessages(ctx, f)
	if err != nil {
		return err
	}
	items := make([]MessageLine, 0, len(p.Items))
	for _, v := range p.Items {
		items = append(items, s.messageLine(v))
	}
	return reply(w, http.StatusOK, page(items, mark("messages", p.NextCursor)))
}

// visible finds the message in the path, or says that it does not exist when
// the caller may not see it.
func (s *Server) visible(ctx context.Context, r *request) (domain.MessageView, error) {
	id := r.PathValue("id")
	if !domain.ValidID(domain.PrefixMessage, id) {
		return domain.MessageView{}, &domain.Error{Code: domain.CodeNotFound}
	}
	if s.cfg.History == nil {
		return domain.MessageView{}, errNoService
	}
	v, err := s.cfg.History.FindMessage(ctx, id)
	if err == nil && !r.caller.AllowsMessage(v.Message) {
		err = &domain.Error{Code: domain.CodeNotFound}
	}
	return v, err
}

func getMessage(s *Server, w http.ResponseWriter, r *request) error {
	v, err := s.visible(r.Context(), r)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.messageView(v, r.language()))
}

func listRecipients(s *Server, w http.ResponseWriter, r *request) error {
	q := &r.query
	limit, cursor := q.limit(), q.after("recipients")
	if err := q.err(); err != nil {
		return err
	}
	v, err := s.visible(r.Context(), r)
	if err != nil {
		return err
	}
	rows, next, err := s.cfg.History.ListRecipients(r.Context(), v.Message.ID, limit, cursor)
	if err != nil {
		return err
	}
	items := make([]Recipient, 0, len(rows))
	for _, row := range rows {
		items = append(items, recipientView(row))
	}
	return reply(w, http.StatusOK, page(items, mark("recipients", next)))
}

func listEvents(s *Server, w http.ResponseWriter, r *request) error {
	q := &r.query
	limit, after := q.limitOr(all), q.afterNumber("events")
	if err := q.err(); err != nil {
		return err
	}
	v, err := s.visible(r.Context(), r)
	if err != nil {
		return err
	}
	events, err := s.cfg.History.ListEvents(r.Context(), v.Message.ID)
	if err != nil {
		return err
	}
	items, next := make([]Event, 0, min(limit, len(events))), ""
	for _, e := range events {
		if e.Seq <= after {
			continue
		}
		if len(items) == limit {
			next = mark("events", strconv.FormatInt(items[limit-1].Seq, 10))
			break
		}
		items = append(items, eventView(e))
	}
	return reply(w, http.StatusOK, page(items, next))
}
