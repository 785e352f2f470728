// Package app puts the gateway together. It is the only place where the store
// meets the stages and the stages meet the edges, in one straight function:
// New. Serve, Dev and Sandbox are the three ways to run it.
package app
