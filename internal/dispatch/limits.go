package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/lane"
	"hongyan/internal/pace"
	"hongyan/wecom"
)

// defaultWidth is how many calls of an app may be in flight.
const defaultWidth = 16

func width(app domain.App) int {
	if app.Limits.Concurrency > 0 {
		return app.Limits.Concurrency
	}
	return defaultWidth
}

// Open is part of lane.Sender: it rebuilds the counters from what was sent.
func (s *Sender) Open(ctx context.Context, laneKey, last string) (lane.Opening, error) {
	app, _ := s.account(laneKey)
	now := time.Now()
	p := s.newPacer(laneKey, app)
	o := lane.Opening{Width: width(app)}
	if err := s.restoreSent(ctx, laneKey, p, now); err != nil {
		return o, fmt.Errorf("read what was sent: %w", err)
	}
	var said domain.LaneReport
	if last != "" && json.Unmarshal([]byte(last), &said) != nil {
		said = domain.LaneReport{}
	}
	if err := s.restoreQuota(ctx, laneKey, &said, p, now); err != nil {
		return o, fmt.Errorf("count what was sent today: %w", err)
	}
	o.Pause = p.trouble.restore(&said, now)
	s.mu.Lock()
	s.pacers[laneKey] = p
	s.mu.Unlock()
	switch h := s.health.Of(accountOf(laneKey)); h.State {
	case domain.HealthPaused:
		o.Pause = lane.Pause{Reason: domain.WaitAppPaused}
	case domain.HealthBlocked:
		if h.NextProbeAt.After(now) {
			o.Pause = lane.Pause{Reason: domain.WaitAppBlocked, Until: h.NextProbeAt}
		}
	}
	return o, nil
}

// How many calls are read that count against the limits, and how many if there
// are older ones whose bodies alone matter. What is beyond the first counts as
// all that the limits allow: members wait until it is over. What is beyond the
// second may be equal to anything: see blind.
const (
	countedBound = 1_000_000
	knownBound   = 200_000
)

// restoreSent rebuilds the counters from the calls that were made before.
func (s *Sender) restoreSent(ctx context.Context, laneKey string, p *pacer, now time.Time) error {
	var chats []pace.PersonCost
	var last time.Time
	n := 0
	tell := func(r domain.SentRecord) {
		n++
		last = r.At
		if persons := p.restore(now, r); p.corp != nil {
			chats = append(chats, pace.PersonCost{At: r.At, N: persons})
		}
	}
	counted := now.Add(-p.counted)
	more, err := s.cfg.History.EachSent(ctx, laneKey, counted, now.Add(farAhead), countedBound, tell)
	if err != nil {
		return err
	}
	if more {
		p.windows.Unknown(now, last.Add(reachMore))
		s.cfg.Logger.Warn("more was sent than is read: what is older counts as all that the limits allow", "lane", laneKey, "read", n, "since", last.UTC())
	} else if older := now.Add(-longestDup - reachMore); older.Before(counted) {
		if more, err = s.cfg.History.EachSent(ctx, laneKey, older, counted, max(knownBound-n, 0), tell); err != nil {
			return err
		}
	}
	if more { // older bodies are unknown
		p.blind = now.Add(longestDup + dupLate)
	}
	if p.corp != nil {
		p.corp.restore(now, laneKey, chats)
	}
	return nil
}

// farAhead is more than the clocks of two nodes differ.
const farAhead = 24 * time.Hour

// restore counts one call that was made before this node owned the lane, and
// returns for how many people it was.
func (p *pacer) restore(now time.Time, r domain.SentRecord) (persons int) {
	to := p.receivers(r.Body)
	persons = p.persons(&to, r.Recipients)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range [][]string{to.users, to.group} {
		for _, u := range list {
			p.windows.Restore(now, []pace.Record{{User: u, At: r.At}})
		}
	}
	if to.unknown {
		p.windows.RestoreAll(now, r.At)
	}
	if r.Busy { // by the clock of this process, as the windows have it
		p.hold(&domain.Delivery{ID: r.DeliveryID}, now.Add(-time.Duration(now.UnixMicro()-r.At.UnixMicro())*time.Microsecond))
	}
	if len(p.recent) >= recentBound {
		p.blind = now.Add(longestDup + dupLate)
		return persons
	}
	p.saw(p.sum(r.Body), r.At.Add(dupLate), int(longestDup/time.Second))
	return persons
}

// restoreQuota finds how much of today's quota is gone: what the owner before
// last said, and what was sent since.
func (s *Sender) restoreQuota(ctx context.Context, laneKey string, said *domain.LaneReport, p *pacer, now time.Time) error {
	if p.quota.Allowed == 0 {
		return nil
	}
	since, used := pace.Day(now), int64(0)
	if pace.Day(said.At).Equal(since) && !said.At.After(now) {
		for _, u := range said.Used {
			if u.Name == appDay {
				since, used = said.At, u.Used
			}
		}
	}
	grouped := int64(0)
	sent, err := s.cfg.History.SentPersons(ctx, laneKey, since, func(r domain.SentRecord) {
		to := p.receivers(r.Body)
		grouped += int64(p.persons(&to, r.Recipients))
	})
	p.quota.Restore(now, used+sent+grouped)
	return err
}

// Close is part of lane.Sender.
func (s *Sender) Close(laneKey string) {
	s.mu.Lock()
	delete(s.pacers, laneKey)
	s.mu.Unlock()
}

// Reconfigure applies the changed limits of an app, or of a robot in that form,
// to its lanes and returns how many calls of one may be in flight.
func (s *Sender) Reconfigure(app domain.App) int {
	for _, key := range lanesOf(app.Key) {
		s.mu.RLock()
		p := s.pacers[key]
		s.mu.RUnlock()
		if p != nil {
			p.limit(app)
		}
	}
	return width(app)
}

// Nodes is part of lane.Sender.
func (s *Sender) Nodes(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = n
	s.health.nodes(n)
	for _, c := range s.corps {
		c.share(n)
	}
}

// Members is part of lane.Sender.
func (s *Sender) Members(d *domain.Delivery) []string {
	p := s.pacer(d.Lane)
	if p.kind == domain.LaneApp {
		users, _, _, _ := wecom.Receivers(d.Body)
		return users
	}
	r := p.receivers(d.Body)
	if r.unknown {
		return []string{""}
	}
	return append(r.users, r.group...)
}

// Reach is part of lane.Sender.
func (s *Sender) Reach(d *domain.Delivery) (members []string, anybody bool) {
	p := s.pacer(d.Lane)
	if p.kind != domain.LaneApp {
		return s.Members(d), false
	}
	r := p.receivers(d.Body)
	if len(r.group) == 0 {
		return r.users, r.unknown
	}
	return slices.Concat(r.users, r.group), r.unknown
}

// Admit is part of lane.Sender.
func (s *Sender) Admit(d *domain.Delivery, now time.Time, reserved bool) lane.Admission {
	p := s.pacer(d.Lane)
	a, warn := p.admit(d, now, reserved)
	if warn {
		used, allowed := p.quotaUsed(now)
		s.cfg.Logger.Warn("80 % of the day's quota is used", "app", p.app, "used", used, "allowed", allowed)
		s.cfg.OnQuota(p.app, used, allowed)
	}
	return a
}

func (p *pacer) quotaUsed(now time.Time) (used, allowed int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.quota.Used(now), p.quota.Allowed
}

// Ask is part of lane.Sender: who has waited for a blocked app wants to probe
// it.
func (s *Sender) Ask(ctx context.Context, laneKey string) error {
	current, err := s.health.Ask(ctx, accountOf(laneKey), time.Now())
	if err == nil && !current {
		s.hear(ctx)
	}
	return err
}

// Retract is part of lane.Sender.
func (s *Sender) Retract(d *domain.Delivery, sure bool) { s.pacer(d.Lane).retract(d, sure, time.Now()) }

// Next is part of lane.Sender.
func (s *Sender) Next(laneKey, member string, now time.Time, ahead int) time.Time {
	return s.pacer(laneKey).next(member, now, ahead)
}

// Free is part of lane.Sender.
func (s *Sender) Free(laneKey, member string, now time.Time) int {
	return s.pacer(laneKey).free(member, now)
}

// Report is part of lane.Sender.
func (s *Sender) Report(laneKey string, now time.Time, r *domain.LaneReport) {
	s.pacer(laneKey).report(now, r)
}

// Divide is part of lane.Sender: the bytes are not frozen before WeCom may have
// them, so each part gets a body of its own.
func (s *Sender) Divide(d *domain.Delivery, later []string) (domain.Split, bool) {
	users, parties, tags, all := wecom.Receivers(d.Body)
	if all || len(parties)+len(tags) > 0 { // one call, whoever is behind it
		return domain.Split{}, false
	}
	first := slices.DeleteFunc(slices.Clone(users), func(u string) bool { return slices.Contains(later, u) })
	x := domain.Split{First: *d, Rest: *d, Users: later}
	x.Rest.ID = s.cfg.IDs.New(domain.PrefixDelivery)
	for _, part := range []struct {
		d     *domain.Delivery
		users []string
	}{{&x.First, first}, {&x.Rest, later}} {
		body, ok := wecom.WithUsers(d.Body, part.users)
		if !ok {
			return domain.Split{}, false
		}
		part.d.Body, part.d.Recipients, part.d.DupInterval = body, len(part.users), -1
		part.d.Digest = domain.Readdressed(d.Digest, d.Scene, domain.People(part.users, nil, nil, false))
	}
	// Of digests whose rest waits for the same people one is made again.
	x.Rest.Digest = strings.TrimPrefix(x.Rest.Digest, domain.DigestMark)
	x.Rest.State, x.Rest.Owner, x.Rest.Fence, x.Rest.Tries = domain.StateQueued, "", 0, 0
	x.Rest.FailedClass, x.Rest.Errcode = "", 0
	x.First.State = domain.StateQueued
	return x, true
}

// pacer returns a lane's counters; one that is not open gets fresh ones that
// are kept nowhere.
func (s *Sender) pacer(laneKey string) *pacer {
	s.mu.RLock()
	p := s.pacers[laneKey]
	s.mu.RUnlock()
	if p == nil {
		app, _ := s.account(laneKey)
		p = s.newPacer(laneKey, app)
	}
	return p
}
