// Package catalog keeps the configured things – apps, scenes, audiences – in
// memory, as one snapshot that every request reads without a lock, and writes
// them through validation.
//
// A change made on this node is live when the call returns; one made on
// another node after the next poll of the store's revision. The snapshot is
// swapped whole, after everything in it was decoded: a broken row never
// replaces a working one.
package catalog
