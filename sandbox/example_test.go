package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"hongyan/sandbox"
)

// A program under test talks to the sandbox as to WeCom; the test then reads
// the ledger.
func Example() {
	sim := sandbox.New(sandbox.Options{})
	defer sim.Close()
	srv := httptest.NewServer(sim)
	defer srv.Close()

	res, err := http.Get(srv.URL + "/cgi-bin/gettoken?corpid=" + sandbox.DevCorpID + "&corpsecret=" + sandbox.DevSecret)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	var tok struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&tok); err != nil {
		fmt.Println(err)
		return
	}
	body := `{"touser":"zhangsan|nobody","msgtype":"text","agentid":1000002,"text":{"content":"你好"}}`
	sent, err := http.Post(srv.URL+"/cgi-bin/message/send?access_token="+tok.AccessToken, "application/json", strings.NewReader(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sent.Body.Close()

	for _, e := range sim.Ledger() {
		fmt.Println(e.Kind, e.Users, e.InvalidUser, string(e.Content))
	}
	// Output: text [zhangsan] nobody {"content":"你好"}
}
