package domain

import "time"

// DirectorySnapshot is what an app could read of WeCom's directory, packed.
type DirectorySnapshot struct {
	App       string
	Data      []byte // in the format of whoever packed it
	FetchedAt time.Time
}

// DirectoryState says whether messages to departments, tags and everybody can
// be counted per member.
type DirectoryState string

// The states of an app's directory.
const (
	DirectoryKnown   DirectoryState = "known"
	DirectoryStale   DirectoryState = "stale"   // in use, though its renewal is overdue
	DirectoryUnknown DirectoryState = "unknown" // never read, or too long ago
)

// DirectoryStatus is what an app knows of its members.
type DirectoryStatus struct {
	App           string
	State         DirectoryState
	Members       int
	Departments   int
	Tags          int
	FetchedAt     time.Time
	NextRefreshAt time.Time // zero: nothing needs it
	Refreshing    bool
	Failure       DirectoryFailure
}

// DirectoryFailure is why the last attempt to read the directory failed, or
// what it had to leave out. The zero value means that nothing did.
type DirectoryFailure struct {
	Class   string // of package wecom, or "limit": the directory is larger than what is read
	Errcode int    // WeCom's, if it answered
	Errmsg  string // cleaned
	SeenIP  string // the caller IP that WeCom printed
	At      time.Time
}

// DirectoryLimit is the class of a directory that was read in part, because
// it is larger than what is read.
const DirectoryLimit = "limit"

// ChatMembers are those who were in a group chat of an app when it was read.
type ChatMembers struct {
	App     string
	Chat    string
	Members []string
	ReadAt  time.Time
}
