package dispatch

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/lane"
	"hongyan/internal/pace"
	"hongyan/wecom"
)

// Directory tells who is behind departments, tags and everybody of an app.
// known is false when it cannot say; then everybody is counted.
type Directory interface {
	Members(app string, departments, tags []string, all bool) (users []string, known bool)
}

// soonWait is how long to wait for who is in a chat: about one call to WeCom.
const soonWait = 20 * time.Millisecond

// pacer holds what a lane must remember between calls.
type pacer struct {
	app, lane string
	kind      string // domain.LaneApp…
	reason    domain.WaitReason
	directory Directory // may be nil
	chat      func(app, chat string) (members []string, known, soon bool)
	turn      func(now time.Time, take bool) (until time.Time, ask bool) // of the app, should it be blocked
	corp      *corp                                                      // of a lane of chats, else nil
	counted   time.Duration                                              // how far back counts what was sent

	mu      sync.Mutex
	windows *pace.Windows
	quota   pace.Quota
	allowed allowance // of the corp's person-times
	agent   int64
	seed    maphash.Seed
	opened  time.Time
	recent  map[uint64]noted     // body → when WeCom may have got it
	longest int                  // of the windows of its messages, in seconds
	flying  map[uint64]int       // body → calls with it on their way
	held    map[string]time.Time // delivery that WeCom was too busy for → the place that it keeps for its next try
	search  int                  // how many of them make a search for those that have ended worth it
	doubted map[uint64]string    // body that is known only for an intent in doubt → its delivery
	twins   map[uint64]time.Time // body of a call that is not committed yet → when to stop waiting for that
	blind   time.Time            // until then the memory has gaps
	trouble trouble
	answers bool // WeCom has answered a call of this lane
	bars    bars
}

// reachMore is how much earlier than its end a call that counts may have begun,
// with the margins of the windows.
const reachMore = 2 * time.Minute

// newPacer makes the counters of a lane with the limits of its kind. They are
// kept nowhere.
func (s *Sender) newPacer(laneKey string, app domain.App) *pacer {
	kind, _, _ := strings.Cut(laneKey, ":")
	p := &pacer{
		app: app.Key, lane: laneKey, kind: kind, reason: domain.RateReason(laneKey), directory: s.cfg.Directory, chat: s.chat, counted: time.Hour + reachMore,
		seed: maphash.MakeSeed(), opened: time.Now(), recent: map[uint64]noted{}, flying: map[uint64]int{}, held: map[string]time.Time{}, twins: map[uint64]time.Time{}, doubted: map[uint64]string{}, windows: pace.New(pace.Config{}),
	}
	account := accountOf(laneKey)
	p.turn = func(now time.Time, take bool) (time.Time, bool) { return s.health.Turn(account, now, take) }
	if kind == domain.LaneChat {
		p.corp, p.counted = s.corp(app.CorpID), 24*time.Hour+reachMore
	}
	p.limit(app)
	return p
}

// chat tells who is in a group chat; nobody is about to say it of a blocked app.
func (s *Sender) chat(app, chat string) (members []string, known, soon bool) {
	if s.cfg.Chat == nil {
		return nil, false, false
	}
	members, known, soon = s.cfg.Chat(app, chat)
	return members, known, soon && s.health.Of(app).State != domain.HealthBlocked
}

// limit applies the app's limits; what was counted stays.
func (p *pacer) limit(app domain.App) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.agent = app.AgentID
	l := app.Limits
	switch p.kind {
	case domain.LaneRobot:
		p.windows.SetLimits(pace.RobotLimits(l.MemberPerMinute))
	case domain.LaneChat:
		p.windows.SetLimits(pace.ChatLimits(l.ChatMemberPerMinute, l.ChatMemberPerDay))
		p.allowed = allowance{l.ChatPersonsPerMinute, l.ChatPersonsPerHour}
	default:
		p.windows.SetLimits(pace.MemberLimits(l.MemberPerMinute, l.MemberPerHour))
		p.quota.Allowed = pace.DayQuota(app.Accounts)
	}
}

// receivers is whom a body is for.
type receivers struct {
	users   []string // by name
	group   []string // behind departments, tags and everybody, where known
	unknown bool     // there is a group and nobody knows who is in it
	soon    bool     // but somebody is looking
}

func (r *receivers) grouped() bool { return r.unknown || len(r.group) > 0 }

func (p *pacer) receivers(body []byte) receivers {
	switch p.kind {
	case domain.LaneRobot:
		return receivers{users: []string{""}}
	case domain.LaneChat:
		members, known, soon := p.chat(p.app, wecom.Chat(body))
		return receivers{group: members, unknown: !known, soon: soon}
	}
	users, parties, tags, all := wecom.Receivers(body)
	r := receivers{users: users}
	if !all && len(parties)+len(tags) == 0 {
		return r
	}
	r.unknown = true
	if p.directory != nil {
		if group, known := p.directory.Members(p.app, parties, tags, all); known {
			r.group, r.unknown = without(group, users), false
		}
	}
	return r
}

// without leaves out of a group those who are named beside it: WeCom takes the
// union.
func without(group, users []string) []string {
	if len(users) == 0 {
		return group
	}
	named := make(map[string]struct{}, len(users))
	for _, u := range users {
		named[strings.ToLower(u)] = struct{}{}
	}
	out := make([]string, 0, len(group))
	for _, u := range group {
		if _, twice := named[strings.ToLower(u)]; !twice {
			out = append(out, u)
		}
	}
	return out
}

// persons is what a call costs where people are counted. recipients is how
// many addresses it has.
func (p *pacer) persons(r *receivers, recipients int) int {
	switch {
	case !r.unknown:
		return len(r.users) + len(r.group)
	case p.kind == domain.LaneChat:
		return pace.ChatMembers
	default:
		return max(recipients, 1)
	}
}

// admit books d's place in the limits, or says when there is one.
func (p *pacer) admit(d *domain.Delivery, now time.Time, reserved bool) (a lane.Admission, warn bool) {
	if a, settled := p.overdue(d, now); settled {
		return a, false
	}
	if at := p.barred(d, now); !at.IsZero() {
		return lane.Admission{Until: at, Reason: domain.WaitAppBlocked}, false
	}
	if until, ask := p.turn(now, false); !until.IsZero() && !ask { // nor are the members of a chat read
		return lane.Admission{Until: until, Reason: domain.WaitAppBlocked, All: true}, false
	}
	r := p.receivers(d.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.soon { // one by one until the app is known to be in order: else each chat costs a refused call
		return lane.Admission{Until: now.Add(soonWait), Reason: p.reason, All: !p.answers}, false
	}
	at, held := p.held[d.ID]
	if !held {
		return p.book(&r, d, now, reserved)
	}
	p.takeBack(&r, d, at)
	if a, warn = p.book(&r, d, now, reserved); a.Until.IsZero() {
		delete(p.held, d.ID)
	} else {
		p.putBack(&r, d, at)
	}
	return a, warn
}

// book is admit once it is clear that d may be sent at all.
func (p *pacer) book(r *receivers, d *domain.Delivery, now time.Time, reserved bool) (a lane.Admission, warn bool) {
	h := p.sum(d.Body)
	if undecided(d) && now.Before(p.twins[h]) {
		return lane.Admission{Until: now.Add(twinWait), Reason: domain.WaitBackoff}, false
	}
	if a := p.tomorrow(r, d, now); !a.Until.IsZero() {
		return a, false
	}
	if a := p.budget(r, now, d.Untaken()); !a.Until.IsZero() {
		return a, false
	}
	if until, ask := p.turn(now, true); !until.IsZero() {
		return lane.Admission{Until: until, Reason: domain.WaitAppBlocked, All: true, Ask: ask}, false
	}
	if p.corp != nil {
		if at := p.corp.take(now, p.lane, p.persons(r, d.Recipients), p.allowed); at.After(now) {
			return lane.Admission{Until: at, Reason: p.reason, All: true}, false
		}
	}
	if d.Errcode == noPrivilege {
		p.bars.again = now.Add(barFor)
	}
	p.windows.Record(now, r.users)
	p.windows.Record(now, r.group)
	if r.unknown {
		p.windows.RecordAll(now)
	}
	if p.duplicateCheck(d, h, now) && reserved {
		if len(p.twins) >= twinsBound {
			clear(p.twins)
		}
		p.twins[h] = now.Add(twinsFor)
	}
	return lane.Admission{}, p.quota.Add(now, p.persons(r, d.Recipients))
}

// tomorrow leaves to the next day what today's quota has no room for: the
// rest of the users of a call, the whole call, or everything.
func (p *pacer) tomorrow(r *receivers, d *domain.Delivery, now time.Time) lane.Admission {
	n, left := p.persons(r, d.Recipients), p.quota.Left(now)
	divisible := d.Untaken() && !r.grouped() && left > 0 && n > int(left)
	if p.quota.Allowed == 0 || !divisible && p.quota.Fits(now, n) {
		return lane.Admission{}
	}
	a := lane.Admission{Until: pace.NextDay(now), Reason: domain.WaitAppQuota, All: left == 0}
	if divisible {
		a.Later = r.users[left:]
	}
	return a
}

// budget says who of the receivers has no budget and when they have again. A
// call that cannot be divided, because it goes to a group or may be at WeCom, waits
// for the last of them.
func (p *pacer) budget(r *receivers, now time.Time, divisible bool) lane.Admission {
	a := lane.Admission{Reason: p.reason}
	var first, last time.Time
	blocked := func(u string, at time.Time) {
		if u != "" || p.kind != domain.LaneApp {
			a.Members = append(a.Members, u)
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	for _, list := range [][]string{r.users, r.group} {
		for _, u := range list {
			if at := p.windows.NextOne(now, u, 0); at.After(now) {
				blocked(u, at)
			}
		}
	}
	named := len(a.Members)
	if r.unknown {
		if at, others := p.windows.NextAll(now); at.After(now) {
			blocked("", at)
			a.Members = append(a.Members, others...)
		}
	}
	switch {
	case first.IsZero():
		return lane.Admission{}
	case r.grouped() || !divisible:
		a.Until = last
	default:
		a.Until = first
		if named < len(r.users) {
			a.Later = a.Members
		}
	}
	return a
}

func (p *pacer) next(member string, now time.Time, ahead int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.windows.NextOne(now, member, ahead)
}

func (p *pacer) free(member string, now time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.windows.Free(now, member)
}

// takeBack frees a place that was booked at that time.
func (p *pacer) takeBack(r *receivers, d *domain.Delivery, at time.Time) {
	p.windows.Forget(r.users, at)
	p.windows.Forget(r.group, at)
	if r.unknown {
		p.windows.ForgetAll(at)
	}
	n := p.persons(r, d.Recipients)
	p.quota.TakeBack(at, n)
	if p.corp != nil {
		p.corp.takeBack(at, p.lane, n)
	}
}

// putBack undoes takeBack.
func (p *pacer) putBack(r *receivers, d *domain.Delivery, at time.Time) {
	p.windows.Record(at, r.users)
	p.windows.Record(at, r.group)
	if r.unknown {
		p.windows.RecordAll(at)
	}
	n := p.persons(r, d.Recipients)
	p.quota.Add(at, n)
	if p.corp != nil {
		p.corp.putBack(at, p.lane, n)
	}
}

// systemBusy is WeCom's answer that it could not do it now. It does not tell
// whether it did: the call counts until the next try, which goes in its place.
const systemBusy = -1

// heldBound is how many keep a place for their next try; over it all wait for
// another one.
const heldBound = 4096

// untaken reports whether an attempt that came to that certainly left nothing at
// WeCom. The store's [domain.SentRecord] are the others.
func untaken(class wecom.Class, errcode int) bool {
	return class != wecom.ClassOK && class != wecom.ClassAmbiguous && errcode != systemBusy
}

func (p *pacer) hold(d *domain.Delivery, at time.Time) {
	if len(p.held) >= heldBound {
		clear(p.held)
	}
	p.held[d.ID] = at
}

// landed corrects the counters once a call has ended: what WeCom did not take
// is given back, and what was slow counts from its end, for WeCom counted it
// somewhere in between: d.StartedAt is when its place was booked, and a commit
// lay before the call.
func (p *pacer) landed(d *domain.Delivery, class wecom.Class, errcode int, end time.Time) {
	r := p.receivers(d.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	if untaken(class, errcode) {
		p.arrived(d, time.Time{})
		p.takeBack(&r, d, d.StartedAt)
		return
	}
	last, counted := end, d.StartedAt
	if class == wecom.ClassAmbiguous {
		last = end.Add(dupLate)
	}
	p.arrived(d, last)
	if end.Sub(d.StartedAt) >= 200*time.Millisecond { // not inside the windows' margin
		counted = end
		p.move(&r, d, end)
	}
	if errcode == systemBusy {
		p.hold(d, counted)
	}
}

func (p *pacer) move(r *receivers, d *domain.Delivery, end time.Time) {
	p.windows.Move(r.users, d.StartedAt, end)
	p.windows.Move(r.group, d.StartedAt, end)
	if r.unknown {
		p.windows.MoveAll(d.StartedAt, end)
	}
	n := p.persons(r, d.Recipients)
	p.quota.Move(d.StartedAt, end, n)
	if p.corp != nil {
		p.corp.move(d.StartedAt, end, p.lane, n)
	}
}

// report adds the use of the limits.
func (p *pacer) report(now time.Time, r *domain.LaneReport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := map[string]domain.HotMember{}
	for _, h := range r.Hot {
		waiting[strings.ToLower(h.ID)] = h
	}
	limits := p.windows.Limits()
	names := []string{"member_minute", "member_hour"}
	switch p.kind {
	case domain.LaneRobot:
		names = []string{"robot_minute"}
	case domain.LaneChat:
		names = []string{"chat_member_minute", "chat_member_day"}
	}
	busiest := p.windows.Busiest(now, 10)
	for i, l := range limits {
		var most int
		for _, b := range busiest {
			most = max(most, b.Used[i])
		}
		r.Used = append(r.Used, domain.WindowUse{Name: names[min(i, len(names)-1)], Used: int64(most), Limit: int64(l.Count)})
	}
	if p.quota.Allowed > 0 {
		r.Used = append(r.Used, domain.WindowUse{Name: appDay, Used: p.quota.Used(now), Limit: p.quota.Allowed})
	}
	if p.corp != nil {
		used, limits := p.corp.used(now, p.allowed)
		for i, name := range []string{"chat_persons_minute", "chat_persons_hour"} {
			r.Used = append(r.Used, domain.WindowUse{Name: name, Used: used[i], Limit: int64(limits[i].Count)})
		}
	}
	if p.kind != domain.LaneApp { // a robot has no members, and a chat's may not be known
		r.Hot = nil
		return
	}
	for _, b := range busiest {
		h, known := waiting[b.User]
		if !known && len(r.Hot) >= 10 {
			continue
		}
		h.ID, h.Minute = b.User, b.Used[0]
		if len(b.Used) > 1 {
			h.Hour = b.Used[1]
		}
		if !known {
			r.Hot = append(r.Hot, h)
			continue
		}
		for i := range r.Hot {
			if strings.EqualFold(r.Hot[i].ID, b.User) {
				h.ID = r.Hot[i].ID
				r.Hot[i] = h
			}
		}
	}
}

// appDay names the day's quota in reports.
const appDay = "app_day"
