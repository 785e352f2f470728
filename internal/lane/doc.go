// Package lane keeps the ordered streams of deliveries that share WeCom's
// limits: one lane per app, robot, chat or webhook endpoint.
//
// A lane has one owner node, held by a lease with a growing fence. Owning a
// lane means that its queue, its width (calls in flight), its members' lines
// and its digests are plain memory; the database stays the truth and a restart
// or another node rebuilds the rest from it.
//
// The way through a lane:
//
//	Reserve  before the accept commit: is a slot free right now?
//	Begin    after the commit, for a reserved delivery: call the sender
//	Offer    after the commit, for all others: queue them in memory or, over
//	         the bound, leave them in the table
//	pump     one goroutine per lane: refill, choose, write, send
//
// What is due stands in streams, one per priority and scene, that take turns
// by weight. What must wait for a member's budget stands in the room: a line
// per member. A piece of a split text that would overtake another is set aside
// until the table says that those before it have ended. What waits for anything
// else is in the table with its due time.
//
// The package knows nothing of WeCom; what a delivery means is the Sender's.
package lane
