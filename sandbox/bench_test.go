package sandbox_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"hongyan/sandbox"
)

// BenchmarkSend tells what the sandbox itself costs, without a network.
func BenchmarkSend(b *testing.B) {
	for name, opt := range map[string]sandbox.Options{
		"full": {MembersPattern: regexp.MustCompile(`load-\d+`), MemberPerMinute: -1, MemberPerHour: -1, Accounts: -1},
		"noop": {NoOp: true},
	} {
		b.Run(name, func(b *testing.B) {
			sim := sandbox.New(opt)
			defer sim.Close()
			w := httptest.NewRecorder()
			sim.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/cgi-bin/gettoken?corpid="+sandbox.DevCorpID+"&corpsecret="+sandbox.DevSecret, nil))
			var tok answer
			if err := json.Unmarshal(w.Body.Bytes(), &tok); err != nil {
				b.Fatal(err)
			}
			body := text("load-1", strings.Repeat("x", 900))
			b.ReportAllocs()
			for b.Loop() {
				sim.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/cgi-bin/message/send?access_token="+tok.AccessToken, strings.NewReader(body)))
			}
		})
	}
}
