package wecom

// Class groups error codes and transport failures by what a sender should do.
// The zero value is not a class.
type Class string

// The classes. The first twelve come from WeCom's error codes, the last two
// from the connection to WeCom.
const (
	ClassOK            Class = "ok"              // accepted
	ClassToken         Class = "token"           // fetch a new access token and repeat once
	ClassTokenOrConfig Class = "token-or-config" // as token; when that does not help, or at gettoken, as config
	ClassTransient     Class = "transient"       // repeat later, a few times
	ClassQuota         Class = "quota"           // pause: 60 s, then an hour, then until midnight
	ClassConfig        Class = "config"          // a person must change a setting; hold messages back
	ClassRecipient     Class = "recipient"       // nobody who was named can be reached
	ClassMedia         Class = "media"           // upload the file again and repeat once
	ClassPayload       Class = "payload"         // the message is wrong; repeating cannot help
	ClassContent       Class = "content"         // the words are not allowed; repeating may be punished
	ClassState         Class = "state"           // the thing it refers to is gone or closed
	ClassBotSession    Class = "bot-session"     // subscribe again and repeat once

	ClassNotSent   Class = "not_sent"  // WeCom cannot have taken the request; repeating is safe
	ClassAmbiguous Class = "ambiguous" // WeCom may have taken the request
)

// Errcode explains one error code of WeCom.
type Errcode struct {
	Code  int
	Class Class
	Name  string // short, stable, snake_case: "untrusted_ip"
	EN    Explanation
	ZH    Explanation
}

// Explanation says in one language what an error code means, who has to act
// and what to do. No field is empty.
type Explanation struct {
	Meaning string
	Fault   string // whose fault it is
	Fix     string
}

// Classify returns the class of an error code. A code that is not in the table
// counts as [ClassPayload]: WeCom said no, and only "system busy" deserves a
// blind repetition.
func Classify(code int) Class {
	if code == 0 {
		return ClassOK
	}
	if e, ok := Lookup(code); ok {
		return e.Class
	}
	return ClassPayload
}
