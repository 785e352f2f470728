package wecom

// Lookup returns what is known of an error code.
func Lookup(code int) (Errcode, bool) { return Errcode{}, false }

// Errcodes lists every known error code.
func Errcodes() []Errcode { return nil }
