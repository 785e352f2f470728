package pace

import "time"

// WeCom's limits, as its page on frequency limits has them (document 90312)
// and for group chats the page on sending (90248). What exceeds those of a
// member or a chat's member is dropped without a word.
const (
	MemberPerMinute     = 30
	MemberPerHour       = 1000
	RobotPerMinute      = 20
	ChatMemberPerMinute = 200
	ChatMemberPerDay    = 10_000
	PersonsPerAccount   = 200 // person-times a day for each account of the corp
)

// MemberLimits are those of one member of an app; 0 means WeCom's.
func MemberLimits(perMinute, perHour int) []Limit {
	return []Limit{{orDefault(perMinute, MemberPerMinute), time.Minute}, {orDefault(perHour, MemberPerHour), time.Hour}}
}

// RobotLimits are those of a group robot; 0 means WeCom's.
func RobotLimits(perMinute int) []Limit {
	return []Limit{{orDefault(perMinute, RobotPerMinute), time.Minute}}
}

// ChatLimits are those of a group chat: each message reaches every member, so
// what counts for one member counts for the chat.
func ChatLimits() []Limit {
	return []Limit{{ChatMemberPerMinute, time.Minute}, {ChatMemberPerDay, 24 * time.Hour}}
}

// DayQuota is how many person-times an app of a corp with that many accounts
// may send a day; 0 when the number is unknown.
func DayQuota(accounts int) int64 { return int64(max(accounts, 0)) * PersonsPerAccount }

func orDefault(n, def int) int {
	if n <= 0 {
		return def
	}
	return n
}
