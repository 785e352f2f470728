package lane

import (
	"context"
	"time"

	"hongyan/internal/domain"
)

// Store is what the lanes need of the database. Every write is durable when it
// returns without an error.
type Store interface {
	AcquireLane(ctx context.Context, lane, node string, lease time.Duration) (domain.LaneLease, bool, error)
	RenewLanes(ctx context.Context, node string, lease time.Duration) ([]domain.HeldLane, error)
	HandOver(ctx context.Context, lane, node string, fence int64, to string, lease time.Duration) (given bool, err error)
	Leaving(ctx context.Context, node string) error
	Leave(ctx context.Context, node string) error
	LaneShares(ctx context.Context, lease time.Duration) ([]domain.LaneShare, error)
	OrphanLanes(ctx context.Context, node string) ([]string, error)
	SetLaneStatus(ctx context.Context, node string, status map[string]string) error
	Notify(ctx context.Context, n domain.Notice) error
	RecoverLane(ctx context.Context, lane string, fence int64) ([]domain.Delivery, error)
	Intents(ctx context.Context, lane string, fence int64, before time.Time) ([]domain.Delivery, error)

	Streams(ctx context.Context, lane string, now time.Time) ([]domain.Stream, error)
	LoadStream(ctx context.Context, lane string, p domain.Priority, scene string, now time.Time, after domain.DueAfter, limit int) ([]domain.Delivery, error)
	LoadExpired(ctx context.Context, lane string, now time.Time, limit int) ([]domain.Delivery, error)
	LoadOpen(ctx context.Context, ids []string) ([]domain.Delivery, error)
	LoadPieces(ctx context.Context, lane string, messages []string) ([]domain.Delivery, error)
	LoadGroup(ctx context.Context, lane, group string, now time.Time, limit int) ([]domain.Mergeable, error)

	Claim(ctx context.Context, claims []domain.Claim) ([]bool, error)
	Finish(ctx context.Context, results []domain.Result) ([]bool, error)
	Defer(ctx context.Context, deferrals []domain.Deferral) error
	Settle(ctx context.Context, settlements []domain.Settlement) ([]bool, error)
	Hasten(ctx context.Context, lane string, fence int64, reason domain.WaitReason) (int64, error)
	Split(ctx context.Context, x domain.Split) error
	Merge(ctx context.Context, x domain.Merge) error
	Carried(ctx context.Context, digest string, limit int) (list []domain.Carried, total int, err error)
	KeepWindows(ctx context.Context, lane string, fence int64, windows []domain.DigestWindow) error
	Windows(ctx context.Context, lane string, now time.Time) ([]domain.DigestWindow, error)
}

// Sender does what a lane is for. One Sender serves many lanes; its methods
// are called concurrently.
type Sender interface {
	// Open prepares a lane that this node has just come to own: counters are
	// rebuilt from what was sent. last is the status of the owner before.
	Open(ctx context.Context, lane, last string) (Opening, error)
	// Close forgets a lane that this node owns no more.
	Close(lane string)
	// Members names the people that d addresses one by one; a delivery to
	// departments, tags or everybody may have none.
	Members(d *domain.Delivery) []string
	// Reach names everybody in whose lines d may stand: also those behind
	// departments, tags and everybody. anybody says that nobody knows who is there.
	Reach(d *domain.Delivery) (members []string, anybody bool)
	// Admit says whether d may go now and, if so, books its place in the
	// limits. On a first attempt it also decides d.DupInterval. reserved says
	// that d is not committed yet, and perhaps never will be.
	Admit(d *domain.Delivery, now time.Time, reserved bool) Admission
	// Retract says that the call which Admit has booked at d.StartedAt is not
	// made. What was booked is taken back; not if sure is false: its intent may be
	// written down, and whoever comes after a crash takes it for a call.
	Retract(d *domain.Delivery, sure bool)
	// Nodes says how many live nodes own lanes, this one among them: what lanes
	// of different nodes share they cannot count together.
	Nodes(n int)
	// Next gives the time at which a message to a member may go when ahead
	// others go before it; Free, how many may go now.
	Next(lane, member string, now time.Time, ahead int) time.Time
	Free(lane, member string, now time.Time) int
	// Divide makes two deliveries of one, the second for the named members.
	Divide(d *domain.Delivery, later []string) (domain.Split, bool)
	// Send makes one attempt and says what follows from it. It looks at the
	// time right before the call: nothing goes out after d.ExpiresAt.
	Send(ctx context.Context, d *domain.Delivery) Done
	// Recover judges a delivery whose attempt was cut off by a crash.
	Recover(d *domain.Delivery, now time.Time) Done
	// Report adds what the sender knows of a lane's limits.
	Report(lane string, now time.Time, r *domain.LaneReport)
	// Ask finds out what Admit wanted to know before it can say yes. It may
	// wait for the database.
	Ask(ctx context.Context, lane string) error
}

// Opening is what a lane starts with.
type Opening struct {
	Width int   // calls in flight at most
	Pause Pause // when the lane must not start
}

// Admission is the answer to whether a delivery may go. The zero value admits.
type Admission struct {
	Until   time.Time         // not before; zero: now
	Reason  domain.WaitReason // why not
	Members []string          // whose budget is used up; empty: it only waits for the time
	Later   []string          // members without budget while others have some: divide it
	All     bool              // nothing of this lane may go before Until
	Ask     bool              // with All: Sender.Ask is to be called, and then Admit again
	Drop    bool              // it must not be repeated: nobody knows whether it arrived
}

func (a Admission) admitted() bool { return a.Until.IsZero() }

// Done is what an attempt came to.
type Done struct {
	Result  domain.Result
	Control Control
}

// Control is what an attempt means for its lane.
type Control struct {
	Success bool  // widen
	Narrow  bool  // halve the width
	Pause   Pause // stop the lane
	Hasten  bool  // what waits because the app is blocked is due now
}

// Pause stops a lane for a while. The zero value is no pause.
type Pause struct {
	Reason domain.WaitReason
	Until  time.Time // zero with a reason: until somebody ends it
}

// Digester writes the message that stands for several.
type Digester interface {
	// Digest composes one message with one delivery out of items, which share
	// scene and receivers; instead of a digest among them it shows what that
	// carries. The delivery is queued and due.
	Digest(ctx context.Context, items []domain.Mergeable) (domain.Submission, error)
}
