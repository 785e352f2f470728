package dispatch

import (
	"errors"
	"net/http"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/lane"
	"hongyan/wecom"
)

// Recover is part of lane.Sender: the process ended between intent and result.
func (s *Sender) Recover(d *domain.Delivery, now time.Time) lane.Done {
	r := domain.Result{At: now, Counted: true, Event: true}
	r.Attempt = domain.Attempt{Class: string(wecom.ClassAmbiguous), Duration: max(now.Sub(d.StartedAt), 0), Errmsg: "the gateway stopped before the answer was recorded"}
	r.Next, r.WaitReason, r.DueAt = afterAmbiguous(d, now)
	if r.Next == domain.StateQueued && r.WaitReason == domain.WaitBackoff {
		// The stop was the wait, and it keeps its place before what came later:
		// the sooner it is repeated, the surer WeCom still knows it.
		r.DueAt = d.DueAt
	}
	return lane.Done{Result: r}
}

// judge turns an answer into the result of the attempt.
func (s *Sender) judge(d *domain.Delivery, app domain.App, res wecom.SendResult, err error, began time.Time) lane.Done {
	now := time.Now()
	took := now.Sub(began)
	r := domain.Result{At: now, Counted: true, Event: true}
	r.Attempt = domain.Attempt{StartedAt: began, Duration: took, HTTPStatus: http.StatusOK, Class: string(wecom.ClassOK), Errmsg: "ok"}
	var c lane.Control
	if err == nil {
		s.succeed(d, app, res, &r)
		c = lane.Control{Success: true, Hasten: s.pacer(d.Lane).pass(d)}
	} else {
		var e *wecom.Error
		if !errors.As(err, &e) {
			e = &wecom.Error{Op: "send", Class: wecom.ClassNotSent, Msg: "internal fault before the call"}
			s.cfg.Logger.Error("send failed before the call", "app", app.Key, "error", err)
		}
		r.Attempt.Class, r.Attempt.HTTPStatus = string(e.Class), e.HTTPStatus
		r.Attempt.Errcode, r.Attempt.Errmsg = e.Code, e.Msg
		if e.Msg == "" {
			r.Attempt.Errmsg = e.Error()
		}
		c = s.fail(d, app, e, &r, now)
		if again(d, &r) {
			r.Again, r.Event = true, false
		}
	}
	s.pacer(d.Lane).landed(d, wecom.Class(r.Attempt.Class), r.Attempt.Errcode, now)
	s.cfg.OnAttempt(app.Key, r.Attempt.Class, took)
	s.cfg.Logger.Info("attempt", told(d, app.Key, &r)...)
	return lane.Done{Result: r, Control: c}
}

// fullHistory is up to which number every attempt of a delivery is kept and told.
const fullHistory = 20

// again reports whether an attempt that spends nothing says no more than the one
// before it: a probe of an app that is out of order for days would fill the
// ledger with the same word.
func again(d *domain.Delivery, r *domain.Result) bool {
	return d.Tries > fullHistory && !r.Counted && !r.Next.Final() && r.Attempt.Class == d.FailedClass && r.Attempt.Errcode == d.Errcode
}

// told is the line of an attempt in the log. An errcode is WeCom's: where it has
// given none, there is none.
func told(d *domain.Delivery, app string, r *domain.Result) []any {
	line := []any{
		"message_id", d.MessageID, "delivery_id", d.ID, "app", app, "n", d.Tries,
		"class", r.Attempt.Class, "next", string(r.Next), "duration_ms", r.Attempt.Duration.Milliseconds(),
	}
	if r.Attempt.Errcode != 0 || r.Attempt.Class == string(wecom.ClassOK) {
		line = append(line, "errcode", r.Attempt.Errcode)
	}
	return line
}

func (s *Sender) succeed(d *domain.Delivery, app domain.App, res wecom.SendResult, r *domain.Result) {
	s.answered(d, app)
	r.Attempt.MsgID, r.Attempt.ResponseCode = res.MsgID, res.ResponseCode
	if res.Errmsg != "" {
		r.Attempt.Errmsg = res.Errmsg
	}
	v := judgeReceivers(d.Body, &res)
	r.Rejected = v.rejected
	if v.strangers != "" {
		r.Attempt.Errmsg += " (named, but not addressed: " + v.strangers + ")"
	}
	switch {
	case len(r.Rejected) == 0:
		r.Next = domain.StateSent
	case v.all:
		// Some tenants answer errcode 0 although nobody was valid.
		r.Next = domain.StateFailed
	default:
		r.Next = domain.StatePartial
	}
}

// answered notes that WeCom was reached and let the app in.
func (s *Sender) answered(d *domain.Delivery, app domain.App) {
	if s.health.OK(app.Key, d.StartedAt) {
		s.tell(d.Lane, lane.Pause{})
	}
	if s.pacer(d.Lane).answered(d.StartedAt) {
		s.cfg.Logger.Info("WeCom can be reached again", "app", app.Key)
	}
}

// noChats is what WeCom says of group chats to an app that not the whole corp
// may see (reference: 90248). Its other messages go on.
const noChats = 48002

// fail applies the retry schedule of the error's class. Where the whole
// lane must stop, the delivery keeps its place and the lane its pause: so a
// resume, or a mended app, moves everything at once.
func (s *Sender) fail(d *domain.Delivery, app domain.App, e *wecom.Error, r *domain.Result, now time.Time) lane.Control {
	p := s.pacer(d.Lane)
	retry := func(reason domain.WaitReason, due time.Time, counted bool) {
		r.Next, r.WaitReason, r.DueAt, r.Counted = domain.StateQueued, reason, due, counted
	}
	switch e.Class {
	case wecom.ClassNotSent:
		if errors.Is(e, errExpired) {
			r.Next, r.Counted = d.Lapsed(), false
			return lane.Control{}
		}
		wait, news := p.unreachable(d.StartedAt, now)
		if news && !errors.Is(e, errContested) { // also a certificate that is not WeCom's, a redirect, a proxy that wants a password
			s.cfg.Logger.Warn("WeCom cannot be reached", "app", app.Key, "error", e)
		}
		if isRedirect(e) && (p.redirected(d.StartedAt, now) || s.health.Of(app.Key).Cause == domain.CauseRedirected) {
			retry(domain.WaitAppBlocked, d.DueAt, false)
			return s.block(d, app, e, now)
		}
		retry(domain.WaitBackoff, d.DueAt, false)
		return lane.Control{Pause: lane.Pause{Reason: domain.WaitBackoff, Until: now.Add(jitter(wait))}}
	case wecom.ClassAmbiguous:
		r.Next, r.WaitReason, r.DueAt = afterAmbiguous(d, now)
		return unclear(p, d, now)
	case wecom.ClassTransient:
		if e.Code == 45033 {
			retry(domain.WaitWeComLimit, now.Add(jitter(time.Second)), false)
			return lane.Control{Narrow: true}
		}
		retry(domain.WaitBackoff, now.Add(step(transientSteps, d.Attempts-d.Doubts)), true)
		return unclear(p, d, now)
	case wecom.ClassQuota:
		until := quotaPause(p.overQuota(d.StartedAt, now), now)
		if p.kind == domain.LaneRobot { // it has no limit but that of the minute
			until = quotaPause(1, now)
		}
		retry(domain.WaitWeComLimit, d.DueAt, false)
		return lane.Control{Pause: lane.Pause{Reason: domain.WaitWeComLimit, Until: until}}
	case wecom.ClassToken, wecom.ClassTokenOrConfig, wecom.ClassConfig, wecom.ClassBotSession:
		if p.kind == domain.LaneChat && e.Code == noChats {
			r.Next = domain.StateFailed
			break
		}
		retry(domain.WaitAppBlocked, d.DueAt, false)
		if e.Code == noPrivilege {
			theirs, again := p.bar(d, now)
			if r.DueAt = again; theirs {
				return lane.Control{}
			}
		}
		return s.block(d, app, e, now)
	default: // recipient, payload, content, media, state: permanent for this message
		r.Next = domain.StateFailed
		if d.InDoubt() { // a refusal of bytes that WeCom may have got before says nothing of that
			r.Next = domain.StateUncertain
		} else if e.Result != nil {
			r.Rejected = judgeReceivers(d.Body, e.Result).rejected
		}
	}
	s.answered(d, app)
	return lane.Control{Success: true}
}

// block stops the app's lanes until it may be tried again.
func (s *Sender) block(d *domain.Delivery, app domain.App, e *wecom.Error, now time.Time) lane.Control {
	p := lane.Pause{Reason: domain.WaitAppBlocked, Until: s.health.Block(app.Key, e, now)}
	s.tell(d.Lane, p)
	return lane.Control{Pause: p}
}

// unclear is what an attempt without a clear answer means for the lane: nothing
// when it is alone among good ones; then fewer calls at once and, when it goes
// on like that, none for a while.
func unclear(p *pacer, d *domain.Delivery, now time.Time) lane.Control {
	n, wait := p.unclear(d.StartedAt, now)
	switch {
	case wait > 0:
		return lane.Control{Pause: lane.Pause{Reason: domain.WaitBackoff, Until: now.Add(jitter(wait))}}
	case n > 1:
		return lane.Control{Narrow: true}
	default:
		return lane.Control{}
	}
}
