// Package archtest holds the laws of the house as tests: who may import whom,
// what every package says about itself, how large a file may grow, and that
// the documents agree with the code. It has no code of its own.
package archtest
