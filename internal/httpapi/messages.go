package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/i18n"
	"hongyan/internal/jsontree"
)

// maxBatch is how many messages one batch may hold.
const maxBatch = 1000

var (
	sendShape    = shapeFor[domain.SendRequest]()
	batchShape   = shapeFor[batchRequest]()
	resendShape  = shapeFor[resendRequest]()
	releaseShape = shapeFor[releaseRequest]()
	emptyShape   = shapeFor[struct{}]()
)

// Accepted is the answer to a message that is durably accepted.
type Accepted struct {
	ID         string       `json:"id"`
	State      domain.State `json:"state"`
	Deliveries int          `json:"deliveries" doc:"Calls to WeCom that were planned"`
	Links      Links        `json:"links"`
	Warnings   []string     `json:"warnings,omitempty" doc:"What may surprise, in the language of Accept-Language"`
}

func (s *Server) acceptedView(r *request, a domain.Accepted) Accepted {
	out := Accepted{ID: a.ID, State: a.State, Deliveries: a.Deliveries, Links: s.links(a.ID)}
	if len(a.Warnings) > 0 {
		out.Warnings = warningTexts(a.Warnings, r.language())
	}
	return out
}

// options gathers what surrounds a send; hash is called only with a key.
func options(r *request, body *jsontree.Node) (domain.SubmitOptions, error) {
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return domain.SubmitOptions{}, err
	}
	o := domain.SubmitOptions{IdempotencyKey: key, RequestID: r.id, TraceParent: traceParent(r.Header)}
	if key != "" {
		o.BodyHash = canonicalHash(body)
	}
	return o, nil
}

func send(s *Server, w http.ResponseWriter, r *request) error {
	wait := r.query.wait()
	if err := r.query.err(); err != nil {
		return err
	}
	n, err := s.parseBody(w, r)
	if err != nil {
		return err
	}
	var req domain.SendRequest
	if err := fit(&n, sendShape, &req); err != nil {
		return err
	}
	null := dropNull(&req.Content, &req.Data)
	opt, err := options(r, &n)
	if err != nil {
		return err
	}
	if !null { // a raw null would be kept as one
		opt.Body = n.AppendCompact(make([]byte, 0, len(n.Raw)))
	}
	if s.cfg.Messages == nil {
		return errNoService
	}
	if req.DryRun {
		plan, err := s.cfg.Messages.DryRun(r.Context(), r.caller, req)
		if err != nil {
			return err
		}
		return reply(w, http.StatusOK, dryRunView(plan, r.language()))
	}
	a, err := s.cfg.Messages.Submit(r.Context(), r.caller, req, opt)
	if err != nil {
		return err
	}
	if wait > 0 {
		v, final, err := s.await(r, a.ID, wait)
		if err == nil && final {
			acceptedHeaders(w, a)
			return reply(w, http.StatusOK, s.messageView(v, r.language()))
		}
		// It is accepted, whatever went wrong since: say so.
	}
	return s.replyAccepted(w, r, a)
}

func acceptedHeaders(w http.ResponseWriter, a domain.Accepted) {
	h := w.Header()
	h["Location"] = []string{"/v1/messages/" + a.ID}
	if a.Replayed {
		h.Set("Idempotency-Replayed", "true")
	}
}

// replyAccepted answers for a message that is durably accepted.
func (s *Server) replyAccepted(w http.ResponseWriter, r *request, a domain.Accepted) error {
	acceptedHeaders(w, a)
	return reply(w, http.StatusAccepted, s.acceptedView(r, a))
}

// await waits for the end of a message, at most d and while the server runs.
func (s *Server) await(r *request, id string, d time.Duration) (v domain.MessageView, final bool, err error) {
	ctx, cancel := s.patience(r, d)
	defer cancel()
	if err := s.cfg.Messages.Wait(ctx, id); err != nil || s.cfg.History == nil {
		return v, false, err
	}
	v, err = s.cfg.History.FindMessage(r.Context(), id)
	return v, err == nil && (v.State.Final() || v.State == "" && v.Message.State.Final()), err
}

// DryRun is what a request would become. Nothing of it is stored.
type DryRun struct {
	Deliveries []domain.DryDelivery `json:"deliveries"`
	Warnings   []string             `json:"warnings" doc:"What may surprise, in the language of Accept-Language"`
}

func dryRunView(d domain.DryRun, lang i18n.Lang) DryRun {
	out := DryRun{Deliveries: d.Deliveries, Warnings: warningTexts(d.Warnings, lang)}
	if out.Deliveries == nil {
		out.Deliveries = []domain.DryDelivery{}
	}
	return out
}

func warningTexts(list []domain.Warning, lang i18n.Lang) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = i18n.WarningText(lang, w.Code, w.Args)
	}
	return out
}

type batchRequest struct {
	Messages []batchMessage `json:"messages"`
}

// batchMessage is checked by itself: what is wrong in it refuses it alone.
type batchMessage json.RawMessage

// BatchAnswer has one item per message, in order.
type BatchAnswer struct {
	Items []BatchItem `json:"items"`
}

// BatchItem is what became of one message of a batch.
type BatchItem struct {
	Status     int          `json:"status" doc:"202, or the status that the message alone would have got"`
	ID         string       `json:"id,omitempty"`
	State      domain.State `json:"state,omitempty"`
	Deliveries int          `json:"deliveries,omitempty"`
	Links      *Links       `json:"links,omitempty"`
	Error      *Problem     `json:"error,omitempty"`
}

func sendBatch(s *Server, w http.ResponseWriter, r *request) error {
	root, err := s.parseBody(w, r)
	if err != nil {
		return err
	}
	if bad := batchShape.check(&root); len(bad) > 0 {
		return domain.Invalid(bad...)
	}
	var list []jsontree.Node
	for i := range root.Names {
		if root.Names[i].Is("messages") {
			list = root.Items[i].Items
		}
	}
	switch {
	case len(list) == 0:
		return domain.Invalid(domain.FieldError{Pointer: "/messages", Code: "required", Message: "is missing or empty", Fix: "send 1 to 1000 messages"})
	case len(list) > maxBatch:
		return domain.Invalid(domain.FieldError{Pointer: "/messages", Code: "max_items", Args: []any{maxBatch, len(list)}, Message: "has more than 1000 items", Fix: "send at most 1000 messages at once"})
	}
	if err := s.spendBatch(w, r, len(list)); err != nil {
		return err
	}
	opt, err := options(r, &root)
	if err != nil {
		return err
	}
	answer := BatchAnswer{Items: make([]BatchItem, len(list))}
	refuse := func(i int, err error) {
		p := s.problemOf(err, r.language(), r.id, true)
		for k := range p.Errors {
			p.Errors[k].Pointer = fmt.Sprintf("/messages/%d%s", i, p.Errors[k].Pointer)
		}
		answer.Items[i] = BatchItem{Status: p.Status, Error: &p}
	}
	reqs, at := make([]domain.SendRequest, 0, len(list)), make([]int, 0, len(list))
	for i := range list {
		var req domain.SendRequest
		if err := fit(&list[i], sendShape, &req); err != nil {
			refuse(i, err)
			continue
		}
		if req.DryRun {
			refuse(i, domain.Invalid(domain.FieldError{Pointer: "/dry_run", Code: "forbidden", Message: "is not possible in a batch", Fix: "use POST /v1/messages for a dry run"}))
			continue
		}
		dropNull(&req.Content, &req.Data)
		reqs, at = append(reqs, req), append(at, i)
	}
	if len(reqs) == 0 {
		return reply(w, http.StatusOK, answer)
	}
	if s.cfg.Messages == nil {
		return errNoService
	}
	items, replayed, err := s.cfg.Messages.SubmitBatch(r.Context(), r.caller, reqs, opt)
	if err != nil {
		return err
	}
	if len(items) != len(at) {
		return fmt.Errorf("batch of %d answered with %d items", len(at), len(items))
	}
	for k, it := range items {
		if it.Err != nil {
			refuse(at[k], it.Err)
			continue
		}
		links := s.links(it.Accepted.ID)
		answer.Items[at[k]] = BatchItem{Status: http.StatusAccepted, ID: it.Accepted.ID, State: it.Accepted.State, Deliveries: it.Accepted.Deliveries, Links: &links}
	}
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	return reply(w, http.StatusOK, answer)
}
