package wecom_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"hongyan/wecom"
)

func ExampleClient_Send() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/gettoken") {
			_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok","access_token":"T","expires_in":7200}`)
			return
		}
		_, _ = io.WriteString(w, `{"errcode":81013,"errmsg":"user & party & tag all invalid"}`)
	}))
	defer server.Close()

	client, err := wecom.NewClient(wecom.Options{BaseURL: server.URL})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	token, err := client.GetToken(ctx, "ww0123456789", "secret")
	if err != nil {
		panic(err)
	}
	_, err = client.Send(ctx, token.Value, []byte(`{"touser":"nobody","msgtype":"text","agentid":1000002,"text":{"content":"hi"}}`))
	if e, ok := errors.AsType[*wecom.Error](err); ok {
		what, _ := wecom.Lookup(e.Code)
		fmt.Println(e.Class, e.Code, what.Name)
	}
	// Output: recipient 81013 nobody_reachable
}

func ExampleSplitBytes() {
	for _, part := range wecom.SplitBytes("磁盘告警\n数据库 3 号机", 24) {
		fmt.Printf("%q\n", part)
	}
	// Output:
	// "磁盘告警"
	// "数据库 3 号机"
}
