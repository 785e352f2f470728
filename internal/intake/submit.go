package intake

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"hongyan/internal/domain"
)

// Submit accepts one message; it returns after the commit.
func (in *Intake) Submit(ctx context.Context, by domain.Caller, req domain.SendRequest, opt domain.SubmitOptions) (domain.Accepted, error) {
	p, err := in.prepare(ctx, by, req, submission{SubmitOptions: opt}, true)
	if err != nil {
		return in.repeated(ctx, by, opt, err)
	}
	return in.accept(ctx, by, p, opt)
}

// repeated answers what cannot be accepted today but was once, under the same
// key: its scene may have changed or gone since. Otherwise err stands.
func (in *Intake) repeated(ctx context.Context, by domain.Caller, opt domain.SubmitOptions, err error) (domain.Accepted, error) {
	first := domain.Accepted{Replayed: true}
	if k := in.remembered(ctx, by, opt); k != nil && json.Unmarshal(k.Answer, &first) == nil {
		return first, nil
	}
	return domain.Accepted{}, err
}

// remembered finds the answer to a request; nil when there is none.
func (in *Intake) remembered(ctx context.Context, by domain.Caller, opt domain.SubmitOptions) *domain.IdemKey {
	if opt.IdempotencyKey == "" {
		return nil
	}
	k, err := in.cfg.Store.FindIdemKey(ctx, by.KeyID, opt.IdempotencyKey)
	if err != nil || k == nil || k.BodyHash != opt.BodyHash {
		return nil
	}
	return k
}

// accept commits one message, or finds the answer that its key remembers.
func (in *Intake) accept(ctx context.Context, by domain.Caller, p prepared, opt domain.SubmitOptions) (domain.Accepted, error) {
	idem, err := idemKey(by, opt, http.StatusAccepted, p.accepted())
	if err != nil {
		return domain.Accepted{}, err
	}
	replay, err := in.commit(ctx, []prepared{p}, idem)
	if err != nil {
		return domain.Accepted{}, err
	}
	if replay != nil {
		first := domain.Accepted{Replayed: true}
		if err := json.Unmarshal(replay.Answer, &first); err != nil {
			return domain.Accepted{}, err
		}
		return first, nil
	}
	return p.accepted(), nil
}

// rememberedItem is a batch item as an idempotency key remembers it.
type rememberedItem struct {
	Accepted *domain.Accepted `json:"accepted,omitempty"`
	Error    *domain.Error    `json:"error,omitempty"`
}

// SubmitBatch accepts many messages in one commit. Those that are wrong are
// refused one by one and do not disturb the others.
func (in *Intake) SubmitBatch(ctx context.Context, by domain.Caller, reqs []domain.SendRequest, opt domain.SubmitOptions) ([]domain.BatchItem, bool, error) {
	items := make([]domain.BatchItem, len(reqs))
	remembered := make([]rememberedItem, len(reqs))
	good := make([]prepared, 0, len(reqs))
	for i := range reqs {
		p, err := in.prepare(ctx, by, reqs[i], submission{SubmitOptions: opt}, true)
		if err != nil {
			e, ok := errors.AsType[*domain.Error](err)
			if !ok || ctx.Err() != nil || oneOf(e.Code, domain.CodeInternal, domain.CodeUnavailable, domain.CodeDiskFull) {
				return nil, false, err
			}
			shown := *e
			shown.Err = nil
			items[i].Err = &shown
			remembered[i].Error = &shown
			continue
		}
		a := p.accepted()
		items[i].Accepted, remembered[i].Accepted = a, &a
		good = append(good, p)
	}
	if len(good) == 0 {
		if k := in.remembered(ctx, by, opt); k != nil {
			return rememberedItems(k)
		}
		return items, false, nil
	}
	idem, err := idemKey(by, opt, http.StatusOK, remembered)
	if err != nil {
		return nil, false, err
	}
	replay, err := in.commit(ctx, good, idem)
	if err != nil || replay == nil {
		return items, false, err
	}
	return rememberedItems(replay)
}

func rememberedItems(k *domain.IdemKey) ([]domain.BatchItem, bool, error) {
	var first []rememberedItem
	if err := json.Unmarshal(k.Answer, &first); err != nil {
		return nil, false, err
	}
	items := make([]domain.BatchItem, len(first))
	for i, r := range first {
		items[i].Err = r.Error
		if r.Accepted != nil {
			items[i].Accepted = *r.Accepted
		}
	}
	return items, true, nil
}

func idemKey(by domain.Caller, opt domain.SubmitOptions, status int, answer any) (*domain.IdemKey, error) {
	if opt.IdempotencyKey == "" {
		return nil, nil
	}
	raw, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	return &domain.IdemKey{
		KeyID: by.KeyID, Key: opt.IdempotencyKey, BodyHash: opt.BodyHash, Status: status, Answer: raw, CreatedAt: time.Now().UTC(),
	}, nil
}

// commit writes everything at once and hands the deliveries to their lanes. It
// returns the stored key when the request is a repeat: nothing was written.
func (in *Intake) commit(ctx context.Context, ps []prepared, idem *domain.IdemKey) (*domain.IdemKey, error) {
	sub := domain.Submission{Idem: idem}
	for i := range ps {
		sub.Messages = append(sub.Messages, ps[i].message)
		sub.Deliveries = append(sub.Deliveries, ps[i].deliveries...)
		sub.Recipients = append(sub.Recipients, ps[i].recipients...)
	}
	reserved := make([]bool, len(sub.Deliveries))
	for i := range sub.Deliveries {
		reserved[i] = in.cfg.Lanes.Reserve(&sub.Deliveries[i])
	}
	// A caller that hangs up does not undo the commit, so its outcome must
	// still be learned here: the reserved slots depend on it.
	res, err := in.cfg.Store.Accept(context.WithoutCancel(ctx), sub)
	if err != nil || res.Replay != nil {
		for i := range sub.Deliveries {
			if reserved[i] {
				in.cfg.Lanes.Release(&sub.Deliveries[i], !errors.Is(err, domain.ErrInDoubt))
			}
		}
		if err != nil {
			return nil, err
		}
		if idem == nil || res.Replay.BodyHash != idem.BodyHash {
			return nil, &domain.Error{Code: domain.CodeIdempotencyMismatch, Detail: "this Idempotency-Key was used with another body"}
		}
		return res.Replay, nil
	}
	var rest []domain.Delivery
	for i := range sub.Deliveries {
		if reserved[i] {
			in.cfg.Lanes.Begin(&sub.Deliveries[i])
		} else {
			rest = append(rest, sub.Deliveries[i])
		}
	}
	if len(rest) > 0 {
		in.cfg.Lanes.Offer(context.WithoutCancel(ctx), rest)
	}
	for i := range ps {
		in.cfg.OnAccept(ps[i].message.Scene, ps[i].message.Source)
	}
	return nil, nil
}

// DryRun plans without storing. What it shows as body is what would be sent,
// but for media ids and the duplicate check.
func (in *Intake) DryRun(ctx context.Context, by domain.Caller, req domain.SendRequest) (domain.DryRun, error) {
	p, err := in.prepare(ctx, by, req, submission{dry: true}, false)
	if err != nil {
		return domain.DryRun{}, err
	}
	return in.show(p), nil
}

// Preview renders a scene that may not be saved and plans it for to.
func (in *Intake) Preview(ctx context.Context, by domain.Caller, s domain.Scene, version int, data json.RawMessage, to domain.To) (domain.DryRun, error) {
	live, err := in.cfg.Scenes.Compile(s, version)
	if err != nil {
		return domain.DryRun{}, err
	}
	if to.Empty() {
		to = s.To
	}
	if to.Empty() {
		to.Users = []string{"preview"}
	}
	p, err := in.prepare(ctx, by, domain.SendRequest{Scene: &domain.SceneRef{Key: s.Key}, Data: data, To: to}, submission{dry: true, live: live}, false)
	if err != nil {
		return domain.DryRun{}, err
	}
	return in.show(p), nil
}

func (in *Intake) show(p prepared) domain.DryRun {
	out := domain.DryRun{Deliveries: make([]domain.DryDelivery, 0, len(p.deliveries)), Warnings: p.warnings}
	for i := range p.deliveries {
		d := &p.deliveries[i]
		parts := []domain.Foreseen{{Delivery: d, Wait: &domain.WouldWait{Reason: d.WaitReason, Until: &d.DueAt}}}
		if !d.DueAt.After(time.Now()) {
			parts = in.cfg.Lanes.Foresee(d)
		}
		for _, f := range parts {
			if f.Wait != nil && f.Wait.Until != nil {
				until := f.Wait.Until.UTC().Truncate(time.Microsecond) // as the store keeps it
				f.Wait.Until = &until
			}
			out.Deliveries = append(out.Deliveries, domain.DryDelivery{
				Lane: f.Delivery.Lane, Body: string(f.Delivery.Body), Bytes: len(f.Delivery.Body), Recipients: f.Delivery.Recipients, WouldWait: f.Wait,
			})
		}
	}
	return out
}
