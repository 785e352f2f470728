package pace

import "time"

// WeCom's limits, as its page on frequency limits has them (document 90312)
// and for group chats the page on sending (90248). What exceeds those of a
// member or a chat's member is dropped without a word; the others answer with
// an error, 45009 by all that is known.
const (
	MemberPerMinute     = 30
	MemberPerHour       = 1000
	RobotPerMinute      = 20
	ChatMemberPerMinute = 200 // over all chats of an app
	ChatMemberPerDay    = 10_000
	PersonsPerAccount   = 200 // person-times a day for each account of the corp
	// ChatPersonsPerMinute and ChatPersonsPerHour are the person-times of all
	// chats of a corp. The two pages disagree about the hour: 90248 (of 2024)
	// has 150,000 for small and unverified corps, 350,000 and 700,000 for larger
	// ones; 90312 (of 2023) has 300,000 for all. This is the least of them.
	ChatPersonsPerMinute = 20_000
	ChatPersonsPerHour   = 150_000
	// ChatMembers is how many people a chat may have (90245).
	ChatMembers = 2000
)

// MemberLimits are those of one member of an app; 0 means WeCom's.
func MemberLimits(perMinute, perHour int) []Limit {
	return []Limit{{orDefault(perMinute, MemberPerMinute), time.Minute}, {orDefault(perHour, MemberPerHour), time.Hour}}
}

// RobotLimits are those of a group robot; 0 means WeCom's.
func RobotLimits(perMinute int) []Limit {
	return []Limit{{orDefault(perMinute, RobotPerMinute), time.Minute}}
}

// ChatLimits are those of one member of an app's group chats, counted over all
// the chats of the app; 0 means WeCom's. A day is any 24 hours: whether WeCom
// counts a calendar day is not documented, and one lies inside the other.
func ChatLimits(perMinute, perDay int) []Limit {
	return []Limit{{orDefault(perMinute, ChatMemberPerMinute), time.Minute}, {orDefault(perDay, ChatMemberPerDay), 24 * time.Hour}}
}

// ChatPersons is a node's share of the person-times of a corp's group chats,
// for [Persons.Take]; 0 means WeCom's. Nodes that do not know what the others
// send have an equal share each, at least 1.
func ChatPersons(perMinute, perHour, nodes int) []Limit {
	share := func(n int) int { return min(max(n/max(nodes, 1), 1), MaxPersons) }
	return []Limit{
		{share(orDefault(perMinute, ChatPersonsPerMinute)), time.Minute},
		{share(orDefault(perHour, ChatPersonsPerHour)), time.Hour},
	}
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
