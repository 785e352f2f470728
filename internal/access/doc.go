// Package access decides who may ask: it makes, checks and revokes API keys.
//
// A key is 190 random bits and a checksum behind "hy_". Only its SHA-256 is
// kept; a fast hash is right for a value that nobody can guess. Checking one
// is a lookup in memory: the keys are read again when the store's revision
// moves, so a revoked key is dead on every node within seconds. Everything
// that is not allowed is refused.
package access
