// Package intake is the one way in: it checks a request, resolves its scene,
// renders and plans it, and commits message, deliveries, recipients and
// idempotency key at once. When Submit returns without an error the message is
// on disk and ours.
package intake
