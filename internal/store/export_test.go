package store

// Channel is where the nodes of a store's schema announce changes.
func Channel(s *Store) string { return s.engine.(*pgEngine).channel }
