package wecom

// Violation is one way in which a message's content breaks WeCom's rules.
type Violation struct {
	Pointer string // RFC 6901 pointer relative to the content object: "/articles/0/title"
	Code    string // rule: required, type, max_bytes, max_chars, min_items, …
	Limit   int    // the bound, 0 when the rule has none
	Got     int    // what was found, in the unit of the rule
	Msg     string // English
	Fix     string // English
	// Cuttable says that the value may be shortened: WeCom itself would.
	Cuttable bool
}

// Validate checks a content object.
func Validate(kind Kind, content []byte) []Violation { return nil }
