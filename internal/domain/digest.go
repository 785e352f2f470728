package domain

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// SourceDigest is the source of messages that stand for several.
const SourceDigest = "digest"

// People names receivers for a digest's group. The name is the same whatever
// the order of the ids and their case, which WeCom does not look at.
func People(users, departments, tags []string, all bool) string {
	if all {
		return "@all"
	}
	name := bars(users)
	if len(departments)+len(tags) > 0 {
		name += "/" + bars(departments) + "/" + bars(tags)
	}
	return name
}

// bars joins ids in lower case and in order.
func bars(ids []string) string {
	if !slices.IsSortedFunc(ids, CompareIDs) {
		ids = slices.SortedFunc(slices.Values(ids), CompareIDs)
	}
	return strings.ToLower(strings.Join(ids, "|"))
}

// CompareIDs orders ids of members, departments and tags; those that WeCom
// takes for the same are equal.
func CompareIDs(a, b string) int { return cmp.Compare(strings.ToLower(a), strings.ToLower(b)) }

// DigestGroup names the deliveries that may be merged: same scene, same
// receivers as People names them, same key. The part before the dot leaves the key out, so that
// under pressure everything of a scene for the same people can be merged.
func DigestGroup(scene, receivers, key string) string {
	return digestPart(scene, receivers) + "." + digestPart(key)
}

// DigestBase returns the part of a group that says scene and receivers, with
// its dot: a prefix of all groups for them.
func DigestBase(group string) string {
	base, _, _ := strings.Cut(strings.TrimPrefix(group, DigestMark), ".")
	return base + "."
}

// Readdressed gives the group for other receivers of the same scene and key. A
// digest stays one.
func Readdressed(group, scene, receivers string) string {
	if group == "" {
		return ""
	}
	mark := ""
	if strings.HasPrefix(group, DigestMark) {
		mark = DigestMark
	}
	_, key, _ := strings.Cut(group, ".")
	return mark + digestPart(scene, receivers) + "." + key
}

// DigestMark stands before the group of a delivery that is itself a digest: it
// is not merged again, unless it is divided and the rest of it has to wait.
const DigestMark = "="

func digestPart(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:9])
}

// Mergeable is a waiting delivery with what a digest says of its message.
type Mergeable struct {
	Delivery  Delivery
	Source    string
	Title     string
	Text      string
	Reference string
	CreatedAt time.Time
	Carried   []Carried // if it is a digest itself: messages that it stands for
	More      int       // and how many that are not listed
}

// Carried is a message that a digest stands for.
type Carried struct {
	MessageID string
	Title     string
	Text      string // its beginning
	Reference string
	CreatedAt time.Time
}

// DigestWindow is the time in which the messages of a group are collected.
type DigestWindow struct {
	Group  string
	Until  time.Time // zero: it is over
	Opener string    // the message that opened it: its other parts go with it
}

// Merge turns waiting deliveries into one digest: all of it or nothing.
type Merge struct {
	Lane   string
	Fence  int64
	Digest Submission // one message with one delivery
	Merged []string   // delivery ids, each still open
	Window DigestWindow
	At     time.Time
}

// Split divides a waiting delivery that was never tried: First keeps the id
// and the receivers that may go now, Rest is new and takes the others with it.
type Split struct {
	Lane  string
	Fence int64
	First Delivery
	Rest  Delivery
	Users []string // those of Rest
}
