// Package pace counts what was sent to whom, so that nobody is sent more than
// WeCom lets through.
//
// WeCom drops the 31st message of a minute and the 1001st of an hour to one
// member without a word. Whether it counts over sliding or over calendar
// windows is not documented; [Windows] counts over sliding windows that are
// longer by a margin, and a calendar window lies always inside a sliding one,
// so neither counter at the other side is ever exceeded.
//
// The package is pure: it reads no clock and starts nothing. A [Windows]
// belongs to one owner (a lane); it is not safe for concurrent use.
package pace

import "time"

// Limit allows Count messages in any Window.
type Limit struct {
	Count  int
	Window time.Duration
}

// Defaults of [Config].
const (
	DefaultMargin  = time.Second
	DefaultMembers = 200_000
)

// Config says what is allowed. The zero value takes WeCom's limits for one
// member of one app.
type Config struct {
	Limits []Limit // default 30 in a minute and 1000 in an hour; entries with a Count or Window of 0 are ignored
	// Margin is added to every window: it covers the time between our clock and
	// the moment when the other side counts. Negative means none; 0 the default.
	Margin time.Duration
	// Members is how many are remembered one by one; default 200,000. When more
	// are active, those who got least share what is remembered of them: some wait
	// longer than they need, and nobody gets too much.
	Members int
}

func (c Config) withDefaults() Config {
	if c.Limits == nil {
		c.Limits = MemberLimits(0, 0)
	}
	if c.Margin == 0 {
		c.Margin = DefaultMargin
	}
	c.Margin = max(c.Margin, 0)
	if c.Members <= 0 {
		c.Members = DefaultMembers
	}
	return c
}

// Record is one past message to one member.
type Record struct {
	User string
	At   time.Time
}
