package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// rig is a served sandbox and a caller that holds a token.
type rig struct {
	*testing.T
	sim *sandbox.Server
	url string
	tok string
}

func newRig(t *testing.T, opt sandbox.Options) *rig {
	t.Helper()
	sim := sandbox.New(opt)
	srv := httptest.NewServer(sim)
	t.Cleanup(srv.Close)
	t.Cleanup(sim.Close) // first, so that hanging calls end
	r := &rig{T: t, sim: sim, url: srv.URL}
	return r
}

type answer struct {
	Errcode        int    `json:"errcode"`
	Errmsg         string `json:"errmsg"`
	AccessToken    string `json:"access_token"`
	ExpiresIn      int    `json:"expires_in"`
	InvalidUser    string `json:"invaliduser"`
	InvalidParty   string `json:"invalidparty"`
	InvalidTag     string `json:"invalidtag"`
	UnlicensedUser string `json:"unlicenseduser"`
	MsgID          string `json:"msgid"`
	ResponseCode   string `json:"response_code"`
	MediaID        string `json:"media_id"`
	URL            string `json:"url"`
	header         http.Header
}

func (r *rig) decode(res *http.Response) answer {
	r.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(r, err)
	require.Equal(r, http.StatusOK, res.StatusCode, "body %s", body)
	var a answer
	require.NoError(r, json.Unmarshal(body, &a), "body %s", body)
	a.header = res.Header
	return a
}

func (r *rig) get(path string, query url.Values) answer {
	r.Helper()
	res, err := http.Get(r.url + path + "?" + query.Encode())
	require.NoError(r, err)
	return r.decode(res)
}

func (r *rig) getToken(corp, secret string) answer {
	r.Helper()
	return r.get("/cgi-bin/gettoken", url.Values{"corpid": {corp}, "corpsecret": {secret}})
}

func (r *rig) token() string {
	r.Helper()
	if r.tok == "" {
		a := r.getToken(sandbox.DevCorpID, sandbox.DevSecret)
		require.Zero(r, a.Errcode, a.Errmsg)
		r.tok = a.AccessToken
	}
	return r.tok
}

func (r *rig) send(body string) answer {
	r.Helper()
	res, err := r.post(body)
	require.NoError(r, err)
	return r.decode(res)
}

func (r *rig) post(body string) (*http.Response, error) {
	return http.Post(r.url+"/cgi-bin/message/send?access_token="+r.token(), "application/json", bytes.NewReader([]byte(body)))
}

func (r *rig) upload(path, field, name string, data []byte) answer {
	r.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile(field, name)
	require.NoError(r, err)
	_, err = part.Write(data)
	require.NoError(r, err)
	require.NoError(r, w.Close())
	res, err := http.Post(r.url+path+"access_token="+r.token(), w.FormDataContentType(), &b)
	require.NoError(r, err)
	return r.decode(res)
}

func text(user, content string) string {
	return fmt.Sprintf(`{"touser":%q,"msgtype":"text","agentid":1000002,"text":{"content":%q}}`, user, content)
}

func TestSendText(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	a := r.send(text("zhangsan|NoSuch|WUJIU|zhouba", "你好"))
	require.Zero(t, a.Errcode)
	require.Equal(t, "ok", a.Errmsg)
	require.Equal(t, "nosuch|zhouba", a.InvalidUser)
	require.Equal(t, "wujiu", a.UnlicensedUser)
	require.Len(t, a.MsgID, 88)

	entries := r.sim.Ledger()
	require.Len(t, entries, 1)
	require.Equal(t, []string{"zhangsan"}, entries[0].Users)
	require.JSONEq(t, `{"content":"你好"}`, string(entries[0].Content))
	require.Equal(t, a.MsgID, entries[0].MsgID)
	require.EqualValues(t, 1, r.sim.Counts().Send)
	require.EqualValues(t, 1, r.sim.Counts().GetToken)
}
