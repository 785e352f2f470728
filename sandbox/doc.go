// Package sandbox is a WeCom one can run: an http.Handler that answers the
// routes of qyapi.weixin.qq.com the way the real service does, for people who
// have no company there, for demos and for tests.
//
// It knows messages to members, to group chats and of group robots, tokens,
// the order of checks, error codes and their texts, size limits and silent
// cuts, invalid and unlicensed members, media, the duplicate check, and the
// limits that WeCom applies without saying so. What it took is kept in a
// bounded ledger; what goes wrong on purpose is data (see Fault). A page at "/"
// shows the phone of every member and every group, live.
//
// Where WeCom's behaviour is not documented, Options offers the variants.
//
// The control routes under /sandbox/api/ need no key: serve a sandbox on
// loopback or inside a test network only. Everything it stores is in memory
// and bounded; nothing survives the process.
//
// The package imports the standard library only and may be used by anybody's
// tests:
//
//	sim := sandbox.New(sandbox.Options{})
//	defer sim.Close()
//	srv := httptest.NewServer(sim)
//	// … send something to srv.URL …
//	entries := sim.Ledger()
package sandbox
