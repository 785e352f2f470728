package plan

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

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
	if to.chat == "" && to.robot == "" {
		dst = append(dst, `,"agentid":`...)
		dst = strconv.AppendInt(dst, in.App.AgentID, 10)
	}
	dst = append(dst, ',')
	dst = render.AppendString(dst, string(in.Type))
	dst = append(dst, ':')
	if to.robot != "" {
		content = forRobot(in.Type, content)
	}
	dst = append(dst, content...)
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

// Calls writes and reads calls outside a plan; its zero value is ready.
type Calls struct{}

// Body writes the call for to, as Addressed gives it: one.
func (Calls) Body(to domain.To, agent int64, kind wecom.Kind, content json.RawMessage, safe, idTrans int) []byte {
	g := grouped(to)
	b := &g.batches()[0]
	return body(Input{App: domain.App{AgentID: agent}, Type: kind, Safe: safe, EnableIDTrans: idTrans}, b, content)
}

// Addressed is [Addressed].
func (Calls) Addressed(lane string, body []byte) domain.To { return Addressed(lane, body) }

// Cut is [Cut].
func (Calls) Cut(ctx context.Context, lane string, kind wecom.Kind, content json.RawMessage) (json.RawMessage, error) {
	return Cut(ctx, lane, kind, content)
}

// forRobot gives a picture the form that robots take: the file itself, not an
// id. Both of its fields are put in when it is sent.
func forRobot(kind wecom.Kind, content []byte) []byte {
	var image struct {
		MediaID string `json:"media_id"`
	}
	if kind != wecom.KindImage || json.Unmarshal(content, &image) != nil || image.MediaID == "" {
		return content
	}
	sum, _ := strings.CutPrefix(image.MediaID, domain.MediaRef{}.Placeholder())
	return fmt.Appendf(nil, `{"base64":%q,"md5":%q}`, domain.MediaRef{SHA256: sum}.Placeholder(), domain.MediaRef{SHA256: sum}.MD5Placeholder())
}

// appendReceivers writes touser, toparty and totag, or chatid, each with a comma
// behind; for a robot nothing: its lane says which.
func appendReceivers(dst []byte, to *batch) []byte {
	switch {
	case to.all:
		return append(dst, `"touser":"@all",`...)
	case to.chat != "":
		return append(render.AppendString(append(dst, `"chatid":`...), to.chat), ',')
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

// Readdress gives the bodies that carry the content of an old body of a lane to
// other recipients of the same lane: everything but the receivers stays, byte
// for byte. Nothing is looked up here; to names what Addressed gives.
func Readdress(lane string, old []byte, to domain.To) ([][]byte, error) {
	tail, err := withoutReceivers(lane, old)
	if err != nil {
		return nil, err
	}
	g := grouped(to)
	var out [][]byte
	for _, b := range g.batches() {
		dst := make([]byte, 0, len(tail)+24*b.count()+64)
		dst = appendReceivers(append(dst, '{'), &b)
		out = append(out, append(dst, tail...))
	}
	return out, nil
}

func grouped(to domain.To) group {
	return group{batch: batch{users: to.Users, parties: to.Departments, tags: to.Tags, all: to.All}, chats: to.Chats, robots: to.Robots}
}

// Addressed says whom a body of ours is for. The lists of users, departments and
// tags are empty when it is for everybody.
func Addressed(lane string, body []byte) (to domain.To) {
	switch kind, key, _ := strings.Cut(lane, ":"); kind {
	case domain.LaneRobot:
		to.Robots = []string{key}
	case domain.LaneChat:
		to.Chats = []string{wecom.Chat(body)}
	default:
		to.Users, to.Departments, to.Tags, to.All = wecom.Receivers(body)
	}
	return to
}

// SameContent gives a value that two bodies of ours share when they belong to
// the same lane and carry the same content to different recipients.
func SameContent(lane string, body []byte) ([sha256.Size]byte, error) {
	tail, err := withoutReceivers(lane, body)
	return sha256.Sum256(slices.Concat([]byte(lane), []byte{0}, tail)), err
}

// withoutReceivers gives what follows the receivers in a body of ours.
func withoutReceivers(lane string, old []byte) ([]byte, error) {
	if !json.Valid(old) || len(old) < 2 || old[0] != '{' {
		return nil, fmt.Errorf("the stored body is not a JSON object")
	}
	to := Addressed(lane, old)
	b := batch{users: to.Users, parties: to.Departments, tags: to.Tags, all: to.All}
	if to.Chats != nil {
		b.chat = to.Chats[0]
	}
	prefix := appendReceivers([]byte{'{'}, &b)
	if len(prefix) > len(old) || string(old[:len(prefix)]) != string(prefix) {
		return nil, fmt.Errorf("the stored body does not begin with its receivers")
	}
	return old[len(prefix):], nil
}
