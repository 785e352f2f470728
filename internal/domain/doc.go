// Package domain holds the nouns of the gateway and the rules that need
// nothing but the nouns: what a message, a delivery, an attempt and a
// recipient are, which states they may pass through, and the error codes that
// every edge translates.
//
// It is a leaf: it imports the standard library only. Every other package may
// import it.
//
// Times are UTC. Values are plain data and safe to copy; nothing here is safe
// for concurrent mutation.
package domain
