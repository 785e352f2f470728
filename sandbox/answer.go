package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// The error codes the sandbox gives by itself. A fault may give any other.
const (
	codeInvalidSecret   = 40001
	codeMediaType       = 40004
	codeTypeParam       = 40005
	codeMediaSize       = 40006
	codeInvalidMediaID  = 40007
	codeMsgType         = 40008
	codeImageSize       = 40009
	codeVideoSize       = 40011
	codeInvalidCorp     = 40013
	codeInvalidToken    = 40014
	codeTooManyUsers    = 40032
	codeURLLength       = 40039
	codeInvalidAgent    = 40056
	codeInvalidParam    = 40058
	codeInvalidTag      = 40068
	codeMissingParam    = 40063
	codeNewsSafe        = 40074
	codeBrokenImage     = 40123
	codeMediaExpired    = 40145
	codeBodyTooLarge    = 40206
	codeMissingToken    = 41001
	codeMissingCorp     = 41002
	codeMissingSecret   = 41004
	codeMissingMedia    = 41006
	codeMissingURL      = 41010
	codeMissingAgent    = 41011
	codeMissingTitle    = 41016
	codeMissingDesc     = 41033
	codeTokenExpired    = 42001
	codeTaskID          = 42014
	codeRowKey          = 42027
	codeCardURL         = 42028
	codeCardMedia       = 42029
	codeCardAppID       = 42030
	codeCardType        = 42031
	codeCardTitle       = 42033
	codeRows            = 42035
	codeVertical        = 42036
	codeOptions         = 42037
	codeButtonText      = 42038
	codeButtonKey       = 42039
	codeOptionID        = 42040
	codeOptionText      = 42041
	codeJumps           = 42042
	codeQuestion        = 42043
	codeCardImage       = 42044
	codeCardAction      = 42045
	codeSubmitKey       = 42046
	codeSelects         = 42047
	codeSubmitText      = 42049
	codeRowUser         = 42050
	codeMenuKey         = 42051
	codeNoCallback      = 43012
	codeEmptyMedia      = 44001
	codeEmptyContent    = 44004
	codeForbidden       = 48002
	codeFileSize        = 45001
	codeContentSize     = 45002
	codeArticles        = 45008
	codeFreq            = 45009
	codeAuthorSize      = 45032
	codeConcurrent      = 45033
	codeURLScheme       = 45034
	codeAppDisabled     = 50003
	codeNoDepartment    = 60003
	codeNoPrivilege     = 60011
	codeUntrustedIP     = 60020
	codeAllInvalid      = 81013
	codeNoReceiver      = 82001
	codeTooManyParties  = 82002
	codeTooManyTags     = 82003
	codeChatID          = 86001
	codeUnknownChat     = 86003
	codeChatSize        = 86006
	codeForeignChat     = 86008
	codeMissingChat     = 86201
	codeChatExists      = 86215
	codeChatMember      = 86216
	codeRobotGone       = 93000
	codeRobotDisabled   = 93004
	codeRobotEmpty      = 93017
	codeRobotImage      = 93018
	codeMiniAppID       = 90200
	codeMiniItems       = 90201
	codeMiniKey         = 90202
	codeMiniValue       = 90203
	codeMiniPage        = 90204
	codeOtherAgent      = 301002
	codeVoiceLimits     = 301016
	codeVoiceType       = 301017
	codeMD5             = 301019
	codeDownloadTooBig  = 830002
	warnJSON            = "Warning: wrong json format. "
	maxUsers            = 1000
	maxParties, maxTags = 100, 100
)

// stem is WeCom's text for a code, for those that need no detail.
func stem(code int) string {
	switch code {
	case -1:
		return "system busy"
	case codeInvalidSecret:
		return "invalid credential"
	case codeInvalidCorp:
		return "invalid corpid"
	case codeInvalidToken:
		return "invalid access_token"
	case codeMissingToken:
		return "access_token missing"
	case codeMissingCorp:
		return "corpid missing"
	case codeMissingSecret:
		return "corpsecret missing"
	case codeTokenExpired:
		return "access_token expired"
	case codeInvalidMediaID:
		return "invalid media_id"
	case codeMediaExpired:
		return "media_id expired"
	case codeMsgType:
		return "invalid message type"
	case codeInvalidAgent:
		return "invalid agentid"
	case codeMissingAgent:
		return "agentid missing"
	case codeInvalidParam:
		return "invalid Request Parameter"
	case codeMissingTitle:
		return "title missing"
	case codeMissingDesc:
		return "description missing"
	case codeMissingURL:
		return "url missing"
	case codeMissingMedia:
		return "media_id missing"
	case codeNewsSafe:
		return "news message not support safe mode"
	case codeEmptyMedia:
		return "empty media data"
	case codeEmptyContent:
		return "empty content"
	case codeFreq:
		return "api freq out of limit"
	case codeConcurrent:
		return "api concurrent out of limit"
	case codeAppDisabled:
		return "agent disabled"
	case codeInvalidTag:
		return "invalid tagid"
	case codeNoDepartment:
		return "department not found"
	case codeNoPrivilege:
		return "no privilege to access/modify contact/party/agent "
	case codeUntrustedIP:
		return "not allow to access from your ip"
	case codeAllInvalid:
		return "user & party & tag all invalid"
	case codeNoReceiver, 81012:
		return "touser & toparty & totag all empty"
	case codeTooManyUsers:
		return "invalid user list"
	case codeTooManyParties:
		return "invalid party list"
	case codeTooManyTags:
		return "invalid tag list"
	case codeOtherAgent:
		return "not allow operate another agent with this accesstoken."
	case codeNoCallback:
		return "agent has no callback url"
	case codeRobotGone:
		return "invalid webhook url"
	case codeForbidden:
		return "api forbidden"
	default:
		return "request refused"
	}
}

// refusal is WeCom saying no. Text without the decoration that every error
// carries; the lists come with 81013.
type refusal struct {
	code  int
	text  string
	lists lists
}

func refuse(code int) *refusal { return &refusal{code: code, text: stem(code)} }

func refuseText(code int, format string, args ...any) *refusal {
	return &refusal{code: code, text: fmt.Sprintf(format, args...)}
}

// lists are the receivers WeCom did not serve.
type lists struct {
	InvalidUser    string `json:"invaliduser,omitempty"`
	InvalidParty   string `json:"invalidparty,omitempty"`
	InvalidTag     string `json:"invalidtag,omitempty"`
	UnlicensedUser string `json:"unlicenseduser,omitempty"`
}

type status struct {
	Errcode int    `json:"errcode"`
	Errmsg  string `json:"errmsg"`
}

type refusalBody struct {
	status
	lists
}

// response is one finished answer, before a fault spoils it.
type response struct {
	status      int
	errcode     int
	contentType string
	header      http.Header // extra, may be nil
	body        []byte
}

func okResponse(v any) response {
	return response{status: http.StatusOK, body: encode(v)}
}

// refused renders r with hint, caller address and link, as WeCom does.
func (s *Server) refused(r *refusal, ip string, warn bool) response {
	text := r.text
	if warn {
		text = warnJSON + text
	}
	code := strconv.Itoa(r.code)
	msg := text + ", hint: [" + s.hint() + "], from ip: " + ip +
		", more info at https://open.work.weixin.qq.com/devtool/query?e=" + code
	return response{
		status:  http.StatusOK,
		errcode: r.code,
		header:  http.Header{"Error-Code": {code}, "Error-Msg": {msg}},
		body:    encode(refusalBody{status: status{Errcode: r.code, Errmsg: msg}, lists: r.lists}),
	}
}

func (r response) write(w http.ResponseWriter) {
	r.head(w)
	_, _ = w.Write(r.body)
}

func (r response) head(w http.ResponseWriter) {
	h := w.Header()
	for k, v := range r.header {
		h[k] = v
	}
	ct := r.contentType
	if ct == "" {
		ct = "application/json; charset=UTF-8"
	}
	h.Set("Content-Type", ct)
	h.Set("Server", "nginx")
	h.Set("Content-Length", strconv.Itoa(len(r.body)))
	w.WriteHeader(r.status)
}

// encode renders v without escaping <, > and &, as WeCom does.
func encode(v any) []byte {
	var b bytesBuffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte(`{"errcode":-1,"errmsg":"system busy"}`)
	}
	return b.trimmed()
}

func itoa(n int) string { return strconv.Itoa(n) }
