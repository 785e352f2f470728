package domain_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

// part is a delivery in the walk.
type part struct {
	state domain.State
	tries int
}

// walk is a crowd of messages whose deliveries do what the table allows.
type walk struct {
	t        *testing.T
	r        *rand.Rand
	messages [][]*part
	gone     int // deliveries of messages that finished and were forgotten
	sums     map[domain.State]int
	parts    int
	taken    map[[2]domain.State]int
}

const (
	steps      = 1_000_000
	shortSteps = 100_000
	crowd      = 300
)

// TestR19_StateMachine makes a million random steps: accept, send, answer,
// retry, defer, divide, merge, settle, cancel, and whatever the table does not
// allow. Only what the table allows happens, what is final stays so, no
// delivery gets lost, and a message says what its deliveries say.
func TestR19_StateMachine(t *testing.T) {
	n := steps
	if testing.Short() {
		n = shortSteps
	}
	w := &walk{
		t: t, r: rand.New(rand.NewPCG(19, 1)), sums: map[domain.State]int{},
		taken: map[[2]domain.State]int{},
	}
	for i := range n {
		w.step()
		if i%1000 == 0 {
			w.count()
		}
	}
	w.count()
	for from, list := range domain.Transitions() {
		for _, to := range list {
			require.Positive(t, w.taken[[2]domain.State{from, to}], "never went from %s to %s", from, to)
			delete(w.taken, [2]domain.State{from, to})
		}
	}
	require.Empty(t, w.taken, "taken although the table does not know them")
}

func (w *walk) accept(born ...domain.State) {
	m := make([]*part, len(born))
	for i, s := range born {
		m[i] = &part{state: s}
		w.sums[s]++
		w.parts++
	}
	w.messages = append(w.messages, m)
}

func (w *walk) step() {
	if len(w.messages) < crowd || w.r.IntN(20) == 0 {
		born := make([]domain.State, 1+w.r.IntN(4))
		for i := range born {
			born[i] = []domain.State{domain.StateScheduled, domain.StateQueued, domain.StateSending}[w.r.IntN(3)]
		}
		w.accept(born...)
	}
	i := w.r.IntN(len(w.messages))
	m := w.messages[i]
	p := m[w.r.IntN(len(m))]
	before := combine(m)
	switch w.r.IntN(10) {
	case 0: // divide
		if waits(p.state) && p.tries == 0 {
			w.messages[i] = append(m, &part{state: domain.StateQueued})
			w.sums[domain.StateQueued]++
			w.parts++
		}
	case 1: // merge
		if other := w.messages[w.r.IntN(len(w.messages))]; waits(p.state) && waits(other[0].state) && other[0] != p {
			w.become(p, domain.StateMerged)
			w.become(other[0], domain.StateMerged)
			w.accept(domain.StateQueued)
			w.check(other)
		}
	default:
		w.become(p, domain.States()[w.r.IntN(len(domain.States()))])
	}
	m = w.messages[i]
	if before.Final() {
		require.Equal(w.t, before, combine(m), "a final message changed")
	}
	w.check(m)
	if combine(m).Final() && w.r.IntN(2) == 0 {
		w.messages[i] = w.messages[len(w.messages)-1]
		w.messages = w.messages[:len(w.messages)-1]
		w.forget(m)
	}
}

func waits(s domain.State) bool { return s == domain.StateQueued || s == domain.StateScheduled }

// become tries a transition. What must hold of those that succeed is written
// here in words of its own, not read from the table.
func (w *walk) become(p *part, next domain.State) {
	from := p.state
	if !from.CanBecome(next) {
		return
	}
	bad := ""
	switch {
	case !waits(from) && from != domain.StateSending:
		bad = "it was final"
	case next == from:
		bad = "nothing changes"
	case next == domain.StateSending && !waits(from):
		bad = "only what waits is sent"
	case (next == domain.StateSent || next == domain.StatePartial) && from != domain.StateSending:
		bad = "nobody sent it"
	case (next == domain.StateCancelled || next == domain.StateMerged) && !waits(from):
		bad = "it may be at WeCom already"
	case next == domain.StateUncertain && from == domain.StateScheduled:
		bad = "it was never tried"
	case next == domain.StateScheduled && from == domain.StateSending:
		bad = "another try is queued"
	}
	if bad != "" {
		w.t.Fatalf("%s became %s: %s", from, next, bad)
	}
	if next == domain.StateSending {
		p.tries++
	}
	p.state = next
	w.sums[from]--
	w.sums[next]++
	w.taken[[2]domain.State{from, next}]++
}

func states(m []*part) []domain.State {
	out := make([]domain.State, len(m))
	for i, p := range m {
		out[i] = p.state
	}
	return out
}

func combine(m []*part) domain.State { return domain.Combine(states(m)) }

// check holds Combine against its laws.
func (w *walk) check(m []*part) {
	list := states(m)
	got := domain.Combine(list)
	all := func(f func(domain.State) bool) bool {
		return !slices.ContainsFunc(list, func(s domain.State) bool { return !f(s) })
	}
	any := func(wanted ...domain.State) bool {
		return slices.ContainsFunc(list, func(s domain.State) bool { return slices.Contains(wanted, s) })
	}
	reached := any(domain.StateSent, domain.StatePartial)
	arrives := all(func(s domain.State) bool { return s == domain.StateSent || s == domain.StateMerged }) && any(domain.StateMerged)
	ok := got.Valid() &&
		got.Final() == all(domain.State.Final) &&
		(got == domain.StateSent) == all(func(s domain.State) bool { return s == domain.StateSent }) &&
		(!got.Final() || (got == domain.StateSent || got == domain.StatePartial) == (reached && !arrives)) &&
		(!arrives || got == domain.StateMerged) &&
		(got == domain.StatePartial || slices.Contains(list, got)) &&
		(got == domain.StateSending) == any(domain.StateSending) &&
		(got != domain.StateScheduled || !any(domain.StateQueued)) &&
		(got != domain.StateCancelled || all(func(s domain.State) bool { return s == got })) &&
		(reached || !got.Final() || (got == domain.StateUncertain) == any(domain.StateUncertain))
	w.r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	if !ok || domain.Combine(list) != got || domain.Combine(append(list, list...)) != got {
		w.t.Fatalf("%v make a message %s", states(m), got)
	}
}

// forget drops a finished message; its deliveries stay in the sums.
func (w *walk) forget(m []*part) {
	w.gone += len(m)
	for _, p := range m {
		if !p.state.Final() {
			w.t.Fatalf("a final message has a delivery that is %s", p.state)
		}
	}
}

// count compares the sums that were kept along the way with what is there.
func (w *walk) count() {
	there, open := 0, 0
	for _, m := range w.messages {
		there += len(m)
		for _, p := range m {
			if !p.state.Final() {
				open++
			}
		}
	}
	sum, waiting := 0, 0
	for s, n := range w.sums {
		sum += n
		if !s.Final() {
			waiting += n
		}
	}
	require.Equal(w.t, w.parts, sum, "the states of all deliveries sum up to those accepted")
	require.Equal(w.t, w.parts, there+w.gone)
	require.Equal(w.t, open, waiting)
}

// TestEveryStateLeadsToAnEnd follows the table from each state.
func TestEveryStateLeadsToAnEnd(t *testing.T) {
	for _, s := range domain.States() {
		if s.Final() {
			require.Empty(t, domain.Transitions()[s])
			continue
		}
		require.True(t, slices.ContainsFunc(domain.Transitions()[s], domain.State.Final), "%s has no end", s)
	}
	table := domain.Transitions()
	table[domain.StateSending] = nil
	table[domain.StateQueued][0] = "changed"
	require.NotEqual(t, table, domain.Transitions(), "a copy")
	require.True(t, domain.StateSending.CanBecome(domain.StateSent))
	require.False(t, domain.State("").Valid() || domain.State("").Final() || domain.State("done").CanBecome(domain.StateSent))
	require.Equal(t, domain.StateQueued, domain.Combine(nil))
}

func TestRateReason(t *testing.T) {
	t.Parallel()
	for lane, want := range map[string]domain.WaitReason{
		domain.LaneKey(domain.LaneApp, "chat"): domain.WaitMemberRate, domain.LaneKey(domain.LaneChat, "ops"): domain.WaitChatRate,
		domain.LaneKey(domain.LaneRobot, "ops"): domain.WaitRobotRate, "": domain.WaitMemberRate,
	} {
		require.Equal(t, want, domain.RateReason(lane), lane)
	}
}

func TestWorse(t *testing.T) {
	t.Parallel()
	order := []domain.Outcome{
		domain.OutcomeAccepted, domain.OutcomeMerged, domain.OutcomeCancelled, domain.OutcomeExpired, domain.OutcomeFailed,
		domain.OutcomeUncertain, domain.OutcomeWaiting, domain.OutcomeUnlicensed, domain.OutcomeInvalid,
	}
	for i, a := range order {
		for j, b := range order {
			require.Equal(t, i > j, domain.Worse(a, b), "%s and %s", a, b)
		}
	}
}
