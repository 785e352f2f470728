package sandbox

import (
	"regexp"
	"time"
)

// The seeded corp. The secret and the robot's key
// are no secrets: they open nothing but a sandbox.
const (
	DevCorpID         = "wwfeedfacecafe0001"
	DevAgentID  int64 = 1000002
	DevSecret         = "sandbox-secret-for-agent-1000002-not-a-secret"
	DevRobotKey       = "feedface-cafe-4000-8000-000000000001"
)

// Window says how the silent per-member limits are counted. WeCom publishes
// the numbers and not the way of counting.
type Window string

const (
	// WindowSliding counts the last 60 seconds and the last hour.
	WindowSliding Window = "sliding"
	// WindowCalendar counts the running minute and the running hour.
	WindowCalendar Window = "calendar"
)

// Duplicate says what WeCom answers to a call that the duplicate check
// suppresses. The real answer is not documented.
type Duplicate string

const (
	// DuplicateSameID answers errcode 0 with the msgid of the first call.
	DuplicateSameID Duplicate = "same_msgid"
	// DuplicateNewID answers errcode 0 with a msgid of its own.
	DuplicateNewID Duplicate = "new_msgid"
	// DuplicateRefused answers Options.DuplicateErrcode.
	DuplicateRefused Duplicate = "refused"
)

// Options configures a Server. The zero value is the seeded corp with WeCom's
// documented limits. Numeric limits: 0 means the default, negative means off.
type Options struct {
	// CorpID defaults to DevCorpID.
	CorpID string
	// Apps defaults to one app: DevAgentID with DevSecret.
	Apps []App
	// Members, Departments and Tags default to the seeded directory; it is
	// used only when all three are nil.
	Members     []Member
	Departments []Department
	Tags        []Tag
	// Robots defaults to one group robot: DevRobotKey. A list that is empty and
	// not nil means none.
	Robots []Robot
	// Chats are group chats that exist from the start, default none.
	Chats []Chat
	// MembersPattern makes every userid that matches it as a whole exist as an
	// active member of no department, for load tests. Nil means none.
	MembersPattern *regexp.Regexp

	// TokenTTL is the life of an access token, default 7200 s.
	TokenTTL time.Duration
	// ExpiredErrcode is what a token past its life gets: 42001 (default) or 40014.
	ExpiredErrcode int
	// WrongSecrets is how many wrong secrets an IP may present in an hour
	// before gettoken answers it 45009 for an hour. Default 20.
	WrongSecrets int

	// MemberPerMinute (30) and MemberPerHour (1000) are the silent limits per
	// app and member; Window says how they are counted.
	MemberPerMinute, MemberPerHour int
	Window                         Window
	// Accounts × 200 is the number of person-times an app may send per day
	// (China time) before 45009. Default 500 accounts.
	Accounts int
	// SendPerMinute, when > 0, answers 45009 to more message/send calls of one
	// app in a minute, and blocks the app for 60 s.
	SendPerMinute int
	// MaxConcurrent, when > 0, answers 45033 to message/send calls beyond it.
	MaxConcurrent int

	// RobotPerMinute (20) is how many messages a group robot may send, counted
	// as Window says. One more gets 45009 and blocks the robot for 60 s.
	RobotPerMinute int
	// RobotTextBytes is the size of a robot's text, default 2048 as documented;
	// reports of 2021 have 5120.
	RobotTextBytes int
	// ChatMemberPerMinute (200) and ChatMemberPerDay (10,000) are the silent
	// limits per member over all group chats of an app, counted as Window says.
	ChatMemberPerMinute, ChatMemberPerDay int
	// ChatPersonsPerMinute (20,000) and ChatPersonsPerHour (150,000) are the
	// person-times that the corp may send to group chats. More gets 45009 and
	// blocks all chats for 60 s or an hour.
	ChatPersonsPerMinute, ChatPersonsPerHour int
	// UnknownChatErrcode is 86003 (default) or 40050.
	UnknownChatErrcode int

	// Duplicate is the answer to a suppressed duplicate, default
	// DuplicateSameID; DuplicateErrcode (default 40058) serves DuplicateRefused.
	Duplicate        Duplicate
	DuplicateErrcode int
	// DuplicateByValue compares parsed JSON instead of the request's bytes.
	DuplicateByValue bool
	// AllInvalidOK answers errcode 0 instead of 81013 when no receiver is
	// valid, as one field report has it.
	AllInvalidOK bool
	// NoReceiverErrcode is 82001 (default) or 81012.
	NoReceiverErrcode int
	// ExpiredMediaErrcode is 40145 (default) or 40007.
	ExpiredMediaErrcode int
	// MarkdownCut cuts markdown over 2048 bytes instead of refusing it (40058).
	MarkdownCut bool
	// CardBytes counts textcard title and description in bytes, not characters.
	CardBytes bool

	// CallerIP, when set, is the caller's address as WeCom sees it, whatever
	// the connection says.
	CallerIP string
	// Latency is added to every /cgi-bin/ answer.
	Latency time.Duration
	// NoOp answers message/send from a bare token check: no validation, no
	// faults, no ledger, counters only. For benchmarks of what calls it.
	NoOp bool

	// LedgerSize bounds the entries kept, default 20,000; LedgerBytes their
	// contents and receiver lists, default 64 MiB; MediaBytes the uploaded
	// media, default 64 MiB. The oldest goes first.
	LedgerSize, LedgerBytes, MediaBytes int
	// MaxHang bounds how long a hanging fault holds a connection, default 60 s.
	MaxHang time.Duration

	// Now is the clock, default time.Now. AdvanceClock and /sandbox/api/clock
	// move on top of it.
	Now func() time.Time
	// Seed makes tokens, msgids and fault dice reproducible. 0 means random.
	Seed uint64
}

func (o Options) withDefaults() Options {
	setString(&o.CorpID, DevCorpID)
	if o.Apps == nil {
		o.Apps = seedApps()
	}
	if o.Members == nil && o.Departments == nil && o.Tags == nil {
		o.Members, o.Departments, o.Tags = seedMembers(), seedDepartments(), seedTags()
	}
	if o.Robots == nil {
		o.Robots = seedRobots()
	}
	setDuration(&o.TokenTTL, 7200*time.Second)
	setDuration(&o.MaxHang, time.Minute)
	setInt(&o.ExpiredErrcode, codeTokenExpired)
	setInt(&o.WrongSecrets, 20)
	setInt(&o.MemberPerMinute, 30)
	setInt(&o.MemberPerHour, 1000)
	setInt(&o.Accounts, 500)
	setInt(&o.RobotPerMinute, 20)
	setInt(&o.RobotTextBytes, maxText)
	setInt(&o.ChatMemberPerMinute, 200)
	setInt(&o.ChatMemberPerDay, 10_000)
	setInt(&o.ChatPersonsPerMinute, 20_000)
	setInt(&o.ChatPersonsPerHour, 150_000)
	setInt(&o.UnknownChatErrcode, codeUnknownChat)
	setInt(&o.DuplicateErrcode, codeInvalidParam)
	setInt(&o.NoReceiverErrcode, codeNoReceiver)
	setInt(&o.ExpiredMediaErrcode, codeMediaExpired)
	setInt(&o.LedgerSize, 20_000)
	setInt(&o.LedgerBytes, 64<<20)
	setInt(&o.MediaBytes, 64<<20)
	if o.Window == "" {
		o.Window = WindowSliding
	}
	if o.Duplicate == "" {
		o.Duplicate = DuplicateSameID
	}
	if o.MembersPattern != nil {
		o.MembersPattern = regexp.MustCompile(`^(?:` + o.MembersPattern.String() + `)$`)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func setString(p *string, def string) {
	if *p == "" {
		*p = def
	}
}

func setInt(p *int, def int) {
	if *p == 0 {
		*p = def
	}
}

func setDuration(p *time.Duration, def time.Duration) {
	if *p <= 0 {
		*p = def
	}
}
