package sandbox_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// reading calls a route that only reads and returns the whole answer.
func (r *rig) reading(path string, pairs ...string) string {
	r.Helper()
	q := url.Values{"access_token": {r.token()}}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	res, err := http.Get(r.url + "/cgi-bin/" + path + "?" + q.Encode())
	require.NoError(r, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(r, err)
	return string(b)
}

func (r *rig) errcode(path string, pairs ...string) int {
	r.Helper()
	var a answer
	require.NoError(r, json.Unmarshal([]byte(r.reading(path, pairs...)), &a))
	return a.Errcode
}

func TestDirectoryReads(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	require.JSONEq(t, `{"errcode":0,"errmsg":"ok","department_id":[{"id":1,"parentid":0,"order":0},{"id":2,"parentid":1,"order":0},{"id":3,"parentid":1,"order":0},
		{"id":4,"parentid":1,"order":0},{"id":5,"parentid":1,"order":0},{"id":6,"parentid":1,"order":0},{"id":21,"parentid":2,"order":0}]}`, r.reading("department/simplelist"))
	require.JSONEq(t, `{"errcode":0,"errmsg":"ok","department_id":[{"id":2,"parentid":1,"order":0},{"id":21,"parentid":2,"order":0}]}`, r.reading("department/simplelist", "id", "2"))
	require.JSONEq(t, `{"errcode":0,"errmsg":"ok","userlist":[{"userid":"zhangsan","name":"张三","department":[2]}]}`,
		r.reading("user/simplelist", "department_id", "2", "fetch_child", "1"), "its own members only")
	require.Contains(t, r.reading("user/simplelist", "department_id", "4"), "zhouba", "also who does not receive")
	require.JSONEq(t, `{"errcode":0,"errmsg":"ok","tagname":"管理层","userlist":[{"userid":"zhaoliu","name":"赵六"},{"userid":"HanMeimei","name":"韩梅梅"}],"partylist":[5]}`, r.reading("tag/get", "tagid", "8"))
	for _, c := range []struct {
		code int
		call []string
	}{
		{60003, []string{"user/simplelist", "department_id", "99"}},
		{40058, []string{"user/simplelist"}},
		{60003, []string{"department/simplelist", "id", "99"}},
		{40068, []string{"tag/get", "tagid", "99"}},
		{40068, []string{"tag/get", "tagid", "x"}},
		{40068, []string{"tag/get"}},
	} {
		require.Equal(t, c.code, r.errcode(c.call[0], c.call[1:]...), c.call)
	}
	counts := r.sim.Counts()
	require.EqualValues(t, 3, counts.ByOp[sandbox.OpDepartments])
	require.EqualValues(t, 4, counts.ByOp[sandbox.OpMembers])
	require.EqualValues(t, 4, counts.ByOp[sandbox.OpTagGet])
	require.EqualValues(t, 3, counts.ByErrcode[40068])

	require.NoError(t, r.sim.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpTagGet}, Errcode: 45009}))
	require.Equal(t, 45009, r.errcode("tag/get", "tagid", "7"))
	r.tok = "unknown"
	require.Equal(t, 40014, r.errcode("user/simplelist", "department_id", "2"))
}

func TestVisibleRange(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	app := r.sim.Apps()[0]
	app.Visible = &sandbox.Range{Users: []string{"SUNQI"}, Departments: []int{2}, Tags: []int{7}} // zhangsan, lisi, wangwu, sunqi
	require.NoError(t, r.sim.PutApp(app))

	require.NotContains(t, r.reading("department/simplelist"), `"id":3,`)
	require.Equal(t, 60011, r.errcode("user/simplelist", "department_id", "3"))
	require.Equal(t, 60011, r.errcode("department/simplelist", "id", "1"))
	require.Zero(t, r.errcode("user/simplelist", "department_id", "21"))
	require.JSONEq(t, `{"errcode":0,"errmsg":"ok","tagname":"管理层","userlist":[],"partylist":[]}`, r.reading("tag/get", "tagid", "8"), "only what is visible")
	agent := r.reading("agent/get", "agentid", "1000002")
	require.Contains(t, agent, `"allow_userinfos":{"user":[{"userid":"SUNQI"}]},"allow_partys":{"partyid":[2]},"allow_tags":{"tagid":[7]}`)

	all := r.send(text("@all", "a"))
	require.Zero(t, all.Errcode)
	some := r.send(`{"touser":"zhaoliu|sunqi","toparty":"4|21","totag":"8","msgtype":"text","agentid":1000002,"text":{"content":"b"}}`)
	require.Zero(t, some.Errcode)
	require.Equal(t, "zhaoliu", some.InvalidUser)
	require.Equal(t, "4", some.InvalidParty)
	ledger := r.sim.Ledger()
	require.ElementsMatch(t, []string{"zhangsan", "lisi", "wangwu", "sunqi"}, ledger[0].Users)
	require.ElementsMatch(t, []string{"sunqi", "lisi"}, ledger[1].Users)
	require.Equal(t, 81013, r.send(text("zhaoliu", "c")).Errcode)

	app.Visible = nil
	require.NoError(t, r.sim.PutApp(app))
	require.Contains(t, r.reading("agent/get", "agentid", "1000002"), `"allow_userinfos":{"user":[]},"allow_partys":{"partyid":[1]},"allow_tags":{"tagid":[]}`)
}
