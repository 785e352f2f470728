//go:build !linux

package wecom

import "testing"

// fullBacklog needs Linux; an address reserved for documentation is the
// second best and does not answer either.
func fullBacklog(*testing.T) string { return "http://192.0.2.1" }
