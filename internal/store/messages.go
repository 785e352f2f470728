package store

import (
	"context"
	"strings"
	"time"

	"hongyan/internal/domain"
)

const (
	maxDeliveries = 10_000 // of one message, shown
	maxAttempts   = 10_000
)

const messageColumns = `m.id, m.key_id, m.source, m.reference, m.request_id, m.traceparent, m.scene, m.scene_version, m.app, m.type,
	m.title, m.text, m.priority, m.state, m.created_at, m.send_at, m.expires_at, coalesce(m.finished_at, 0), m.request, m.digest_key,
	m.merged_into, m.resend_of, m.deliveries, m.recipients`

func scanMessage(r rows) (m domain.Message, err error) {
	var priority int
	var state string
	var created, send, expires, done int64
	var request []byte
	err = r.Scan(&m.ID, &m.KeyID, &m.Source, &m.Reference, &m.RequestID, &m.TraceParent, &m.Scene, &m.SceneVersion, &m.App, &m.Type,
		&m.Title, &m.Text, &priority, &state, &created, &send, &expires, &done, &request, &m.DigestKey,
		&m.MergedInto, &m.ResendOf, &m.Deliveries, &m.Recipients)
	m.Priority, m.State = domain.Priority(priority), domain.State(state)
	m.CreatedAt, m.SendAt, m.ExpiresAt, m.FinishedAt = moment(created), moment(send), moment(expires), moment(done)
	if len(request) > 0 {
		m.Request = request
	}
	return m, err
}

// FindMessage returns a message with its deliveries, their attempts and the
// counts of its recipients. It fails with domain.CodeNotFound.
func (s *Store) FindMessage(ctx context.Context, id string) (domain.MessageView, error) {
	const query = `SELECT ` + messageColumns + ` FROM messages m WHERE m.id = $1`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	found, err := collect(ctx, q, query, []any{id}, scanMessage)
	if err != nil {
		return domain.MessageView{}, s.readError("read a message", err)
	}
	if len(found) == 0 {
		return domain.MessageView{}, domain.Errorf(domain.CodeNotFound, "there is no message %s", id)
	}
	views, err := s.views(ctx, q, found, deliveryColumns, time.Now())
	if err != nil {
		return domain.MessageView{}, s.readError("read the deliveries of a message", err)
	}
	v := &views[0]
	attempts, err := s.attempts(ctx, q, `delivery_id IN (SELECT id FROM deliveries WHERE message_id = $1)`, id)
	if err != nil {
		return domain.MessageView{}, s.readError("read the attempts of a message", err)
	}
	byDelivery := make(map[string]*domain.DeliveryView, len(v.Deliveries))
	for i := range v.Deliveries {
		byDelivery[v.Deliveries[i].Delivery.ID] = &v.Deliveries[i]
	}
	for _, a := range attempts {
		if d := byDelivery[a.DeliveryID]; d != nil {
			d.Attempts = append(d.Attempts, a)
		}
	}
	return *v, nil
}

// FindDeliveries returns the deliveries of a message, by id.
func (s *Store) FindDeliveries(ctx context.Context, messageID string) ([]domain.Delivery, error) {
	const query = `SELECT ` + deliveryColumns + ` FROM deliveries WHERE message_id = $1 ORDER BY id LIMIT $2`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, query, []any{messageID, maxDeliveries}, scanDelivery)
	return out, s.readError("read deliveries", err)
}

// FindAttempts returns the attempts of a delivery, by number.
func (s *Store) FindAttempts(ctx context.Context, deliveryID string) ([]domain.Attempt, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := s.attempts(ctx, q, `delivery_id = $1`, deliveryID)
	return out, s.readError("read attempts", err)
}

func (s *Store) attempts(ctx context.Context, q querier, where, id string) ([]domain.Attempt, error) {
	query := `SELECT delivery_id, n, fence, lane, node, started_at, duration, class, http_status, errcode, errmsg, msgid, response_code,
		stale FROM attempts WHERE ` + where + ` ORDER BY delivery_id, n, fence LIMIT $2`
	return collect(ctx, q, query, []any{id, maxAttempts}, func(r rows) (a domain.Attempt, err error) {
		var started, took, stale int64
		var sealed []byte
		err = r.Scan(&a.DeliveryID, &a.N, &a.Fence, &a.Lane, &a.Node, &started, &took, &a.Class, &a.HTTPStatus, &a.Errcode, &a.Errmsg,
			&a.MsgID, &sealed, &stale)
		if err != nil {
			return a, err
		}
		a.StartedAt, a.Duration, a.Stale = moment(started), micro(took), stale != 0
		if len(sealed) > 0 {
			clear, err := s.ring.Open(sealed, responseCodePlace(a.DeliveryID))
			if err != nil {
				s.log.Warn("a response code does not open", "delivery_id", a.DeliveryID, "error", err)
				return a, nil
			}
			a.ResponseCode = string(clear)
		}
		return a, nil
	})
}

// listColumns leaves the bodies out: a page of them may weigh megabytes.
var listColumns = strings.Replace(deliveryColumns, " body,", " '' AS body,", 1)

// views adds to messages what hangs on them as of now, except attempts.
func (s *Store) views(ctx context.Context, q querier, messages []domain.Message, columns string, now time.Time) ([]domain.MessageView, error) {
	if len(messages) == 0 {
		return []domain.MessageView{}, nil
	}
	views := make([]domain.MessageView, len(messages))
	ids := make([]string, len(messages))
	index := make(map[string]int, len(messages))
	for i := range messages {
		views[i].Message = messages[i]
		ids[i] = messages[i].ID
		index[ids[i]] = i
	}
	in := s.engine.inList("$1")
	list := listJSON(ids)
	deliveries, err := collect(ctx, q, `SELECT `+columns+` FROM deliveries WHERE message_id `+in+` ORDER BY message_id, id LIMIT $2`,
		[]any{list, maxDeliveries}, scanDelivery)
	if err != nil {
		return nil, err
	}
	for _, d := range deliveries {
		d.State = shown(&d, now)
		v := &views[index[d.MessageID]]
		v.Deliveries = append(v.Deliveries, domain.DeliveryView{Delivery: d})
	}
	special := map[string][]spoken{}
	_, err = collect(ctx, q, `SELECT message_id, delivery_id, outcome, count(*) FROM recipients
		WHERE outcome IS NOT NULL AND message_id `+in+` GROUP BY message_id, delivery_id, outcome`, []any{list},
		func(r rows) (struct{}, error) {
			var messageID string
			var x spoken
			err := r.Scan(&messageID, &x.deliveryID, &x.outcome, &x.n)
			special[messageID] = append(special[messageID], x)
			return struct{}{}, err
		})
	if err != nil {
		return nil, err
	}
	for i := range views {
		complete(&views[i], special[views[i].Message.ID])
		if some, all := spoiled(&views[i]); some && !all {
			if err := s.recount(ctx, q, &views[i]); err != nil {
				return nil, err
			}
		}
	}
	return views, s.countMerged(ctx, q, views, index)
}

// countMerged tells of each digest how many messages it carries.
func (s *Store) countMerged(ctx context.Context, q querier, views []domain.MessageView, index map[string]int) error {
	var digests []string
	for i := range views {
		if views[i].Message.Source == domain.SourceDigest {
			digests = append(digests, views[i].Message.ID)
		}
	}
	if len(digests) == 0 {
		return nil
	}
	_, err := collect(ctx, q, `SELECT merged_into, count(DISTINCT message_id) FROM deliveries WHERE merged_into <> '' AND merged_into `+
		s.engine.inList("$1")+` GROUP BY merged_into`, []any{listJSON(digests)}, func(r rows) (struct{}, error) {
		var id string
		var n int
		err := r.Scan(&id, &n)
		views[index[id]].Merged = n
		return struct{}{}, err
	})
	return err
}

// endedSince completes a message whose row does not say that it has ended:
// because it has one delivery, or was read before the commit that ended it and
// its deliveries after.
func endedSince(v *domain.MessageView) {
	if !v.State.Final() {
		return
	}
	m := &v.Message
	m.State = v.State
	for i := range v.Deliveries {
		d := &v.Deliveries[i].Delivery
		if m.MergedInto == "" {
			m.MergedInto = d.MergedInto
		}
		if d.FinishedAt.After(m.FinishedAt) {
			m.FinishedAt = d.FinishedAt
		}
	}
}

// spoken counts the recipients of a delivery about whom WeCom said something.
type spoken struct {
	deliveryID, outcome string
	n                   int
}

// complete derives state, wait and counts of a view.
func complete(v *domain.MessageView, special []spoken) {
	v.State = v.Message.State
	states := make([]domain.State, len(v.Deliveries))
	rest := v.Message.Recipients
	quiet := make(map[string]int, len(v.Deliveries)) // recipients who share the delivery's outcome
	named := 0
	for i := range v.Deliveries {
		d := &v.Deliveries[i].Delivery
		states[i] = d.State
		if d.Handling.Part > 1 {
			continue // its recipients are counted at the first piece
		}
		quiet[d.ID] = min(d.Recipients, v.Message.Recipients-named)
		named += quiet[d.ID]
	}
	if len(states) > 0 && !v.State.Final() {
		v.State = domain.Combine(states)
		endedSince(v)
	}
	some, all := spoiled(v)
	v.Counts.Total = v.Message.Recipients
	for _, x := range special {
		quiet[x.deliveryID] -= x.n
		tally(&v.Counts, domain.Outcome(x.outcome), x.n)
		rest -= x.n
	}
	for i := range v.Deliveries {
		d := &v.Deliveries[i].Delivery
		n := max(quiet[d.ID], 0)
		outcome := domain.OutcomeOf(d.State)
		if some && all {
			outcome = worst(v.Deliveries)
		}
		tally(&v.Counts, outcome, n)
		rest -= n
		if d.State != domain.StateQueued && d.State != domain.StateScheduled {
			continue
		}
		if v.NextAttemptAt.IsZero() || d.DueAt.Before(v.NextAttemptAt) {
			v.NextAttemptAt, v.WaitReason = d.DueAt, d.WaitReason
		}
	}
	if rest > 0 { // recipients without a delivery share the message's fate
		tally(&v.Counts, domain.OutcomeOf(v.State), rest)
	}
}

func tally(c *domain.RecipientCounts, o domain.Outcome, n int) {
	switch o {
	case domain.OutcomeAccepted:
		c.Accepted += n
	case domain.OutcomeWaiting:
		c.Waiting += n
	case domain.OutcomeMerged:
		c.Merged += n
	case domain.OutcomeUncertain:
		c.Uncertain += n
	default:
		c.Failed += n
	}
}

// ListRecipients returns a page (1–200) of a message's recipients with their
// outcomes, by kind and id. It fails with domain.CodeNotFound.
func (s *Store) ListRecipients(ctx context.Context, messageID string, limit int, cursor string) (page []domain.Recipient, next string, err error) {
	const query = `SELECT r.message_id, r.delivery_id, r.kind, r.id, coalesce(r.outcome, ''), r.errcode, r.reason, r.at, r.rkey,
		coalesce(d.state, m.state), coalesce(d.errcode, 0), coalesce(d.reason, ''), coalesce(d.finished_at, m.finished_at, 0)
		FROM recipients r JOIN messages m ON m.id = r.message_id LEFT JOIN deliveries d ON d.id = r.delivery_id
		WHERE r.message_id = $1 AND (r.kind, r.rkey) > ($2, $3) ORDER BY r.kind, r.rkey LIMIT $4`
	kind, rkey, err := parseRecipientCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	limit = min(max(limit, 1), maxPage)
	var keys []string
	page, err = collect(ctx, q, query, []any{messageID, kind, rkey, limit + 1}, func(r rows) (x domain.Recipient, err error) {
		x, key, err := scanRecipient(r)
		keys = append(keys, key)
		return x, err
	})
	if err != nil {
		return nil, "", s.readError("list recipients", err)
	}
	worse, err := s.pieces(ctx, q, messageID)
	if err != nil {
		return nil, "", s.readError("list recipients", err)
	}
	for i := range page {
		x := &page[i]
		if p, known := worse[[2]string{string(x.Kind), keys[i]}]; known && domain.Worse(p.outcome, x.Outcome) {
			x.Outcome, x.Errcode, x.Reason, x.At = p.outcome, p.errcode, p.reason, moment(p.done)
		}
	}
	if len(page) == 0 && cursor == "" {
		var one int
		found, err := queryRow(ctx, q, `SELECT 1 FROM messages WHERE id = $1`, []any{messageID}, &one)
		if err != nil {
			return nil, "", s.readError("list recipients", err)
		}
		if !found {
			return nil, "", domain.Errorf(domain.CodeNotFound, "there is no message %s", messageID)
		}
	}
	if len(page) > limit {
		page = page[:limit]
		next = string(page[limit-1].Kind) + " " + keys[limit-1]
	}
	return page, next, nil
}

func scanRecipient(r rows) (x domain.Recipient, rkey string, err error) {
	var kind, out, state, reason string
	var at, done int64
	var errcode int
	if err = r.Scan(&x.MessageID, &x.DeliveryID, &kind, &x.ID, &out, &x.Errcode, &x.Reason, &at, &rkey,
		&state, &errcode, &reason, &done); err != nil {
		return x, "", err
	}
	x.Kind, x.Outcome, x.At = domain.RecipientKind(kind), domain.Outcome(out), moment(at)
	if out == "" {
		x.Outcome, x.Reason = domain.OutcomeOf(domain.State(state)), reason
		x.At = moment(done)
		if x.Outcome != domain.OutcomeWaiting && x.Outcome != domain.OutcomeAccepted {
			x.Errcode = errcode
		}
	}
	return x, rkey, nil
}

func parseRecipientCursor(cursor string) (kind, rkey string, err error) {
	if cursor == "" {
		return "", "", nil
	}
	kind, rkey, ok := strings.Cut(cursor, " ")
	if !ok || clean(cursor) != cursor {
		return "", "", badCursor()
	}
	return kind, rkey, nil
}
