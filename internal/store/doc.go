// Package store keeps everything durable: messages with their deliveries,
// recipients and attempts, the event stream, configuration, keys, files and
// tokens, on SQLite or on PostgreSQL.
//
// All writes meet in one writer per process (group commit): it takes what is
// waiting, applies it in one transaction, and answers everybody after the
// commit. A write method that returns without an error is durable. Reads go to
// a separate read-only pool and see only what is committed.
//
// Errors that a caller may act on are *domain.Error. Secrets are sealed before
// they reach the database.
//
// SQL is shared between the two dialects where nothing depends on speed; the
// path of a message (accept, claim, finish) is written once per dialect.
package store
