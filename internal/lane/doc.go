// Package lane keeps the ordered streams of deliveries that share WeCom's
// limits: one lane per app, robot, chat or webhook endpoint.
//
// A lane has one owner node, held by a lease with a growing fence. Owning a
// lane means that its queue, its width (calls in flight) and its pauses are
// plain memory; the database stays the truth and a restart rebuilds the rest.
//
// The way through a lane:
//
//	Reserve  before the accept commit: is a slot free right now?
//	Start    after the commit, for a reserved delivery: call the sender
//	Offer    after the commit, for all others: queue them in memory or, over
//	         the bound, leave them in the table
//	pump     one goroutine per lane: expiry, pace, durable claim, send
//
// The package knows nothing of WeCom; what a delivery means is the Sender's.
package lane
