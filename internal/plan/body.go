package plan

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"

	"hongyan/internal/domain"
	"hongyan/internal/render"
	"hongyan/wecom"
)

// body writes the request for one batch: fixed order of fields, no white space,
// empty receivers left out.
func body(in Input, to *batch, content []byte) []byte {
	dst := make([]byte, 0, len(content)+128+24*to.count())
	dst = append(dst, '{')
	dst = appendReceivers(dst, to)
	dst = append(dst, `"msgtype":`...)
	dst = render.AppendString(dst, string(in.Type))
	dst = append(dst, `,"agentid":`...)
	dst = strconv.AppendInt(dst, in.App.AgentID, 10)
	dst = append(dst, ',')
	dst = render.AppendString(dst, string(in.Type))
	dst = append(append(dst, ':'), content...)
	if in.Safe != 0 {
		dst = append(dst, `,"safe":`...)
		dst = strconv.AppendInt(dst, int64(in.Safe), 10)
	}
	if in.EnableIDTrans != 0 {
		dst = append(dst, `,"enable_id_trans":`...)
		dst = strconv.AppendInt(dst, int64(in.EnableIDTrans), 10)
	}
	return append(dst, '}')
}

// appendReceivers writes touser, toparty and totag, each with a comma behind.
func appendReceivers(dst []byte, to *batch) []byte {
	if to.all {
		return append(dst, `"touser":"@all",`...)
	}
	for _, l := range []struct {
		name string
		ids  []string
	}{{`"touser":`, to.users}, {`"toparty":`, to.parties}, {`"totag":`, to.tags}} {
		if len(l.ids) == 0 {
			continue
		}
		dst = append(dst, l.name...)
		dst = append(dst, '"')
		for i, id := range l.ids {
			if i > 0 {
				dst = append(dst, '|')
			}
			quoted := len(dst)
			dst = render.AppendString(dst, id)
			copy(dst[quoted:], dst[quoted+1:len(dst)-1]) // without its quotes
			dst = dst[:len(dst)-2]
		}
		dst = append(dst, '"', ',')
	}
	return dst
}

// Readdress gives the bodies that carry the content of an old body to other
// recipients: everything but the receivers stays, byte for byte. Audiences are
// not expanded here; to names users, departments, tags or all.
func Readdress(old []byte, to domain.To) ([][]byte, error) {
	tail, err := withoutReceivers(old)
	if err != nil {
		return nil, err
	}
	p := Planner{audiences: noAudiences{}}
	all, bad := p.recipients(to)
	if len(bad) > 0 {
		return nil, domain.Invalid(bad...)
	}
	var out [][]byte
	for _, b := range all.batches() {
		dst := make([]byte, 0, len(tail)+24*b.count()+64)
		dst = appendReceivers(append(dst, '{'), &b)
		out = append(out, append(dst, tail...))
	}
	return out, nil
}

type noAudiences struct{}

// Audience knows none.
func (noAudiences) Audience(string) (domain.Audience, bool) { return domain.Audience{}, false }

// SameContent gives a value that two bodies of ours share when they carry the
// same content to different recipients.
func SameContent(body []byte) ([sha256.Size]byte, error) {
	tail, err := withoutReceivers(body)
	return sha256.Sum256(tail), err
}

// withoutReceivers gives what follows the receivers in a body of ours.
func withoutReceivers(old []byte) ([]byte, error) {
	if !json.Valid(old) || len(old) < 2 || old[0] != '{' {
		return nil, fmt.Errorf("the stored body is not a JSON object")
	}
	users, parties, tags, all := wecom.Receivers(old)
	prefix := appendReceivers([]byte{'{'}, &batch{users: users, parties: parties, tags: tags, all: all})
	if len(prefix) > len(old) || string(old[:len(prefix)]) != string(prefix) {
		return nil, fmt.Errorf("the stored body does not begin with its receivers")
	}
	return old[len(prefix):], nil
}
