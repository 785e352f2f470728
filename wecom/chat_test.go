package wecom

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

func TestChatKinds(t *testing.T) {
	for _, kind := range ChatKinds() {
		require.True(t, kind.Valid(), kind)
		require.Empty(t, Validate(kind, []byte(goodContents[kind])))
	}
	require.NotContains(t, ChatKinds(), KindTemplateCard)
	require.NotContains(t, ChatKinds(), KindMiniProgramNotice)
	require.Len(t, ChatKinds(), 9)
}

func TestSendToChat(t *testing.T) {
	base, last := recording(t, `{"errcode":0,"errmsg":"ok"}`)
	const body = `{"chatid":"C1","msgtype":"text","text":{"content":"x"},"safe":0}`
	got, err := testClient(t, base+"/relay", TransportOptions{}).SendToChat(t.Context(), "t+k", []byte(body))
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(SendResult{HTTPStatus: 200, Errmsg: "ok"}, got))
	require.Equal(t, "POST /relay/cgi-bin/appchat/send?access_token=t%2Bk", last().method+" "+last().uri)
	require.Equal(t, body, last().body)

	base, _ = recording(t, `{"errcode":86003,"errmsg":"chat not exist"}`)
	_, err = testClient(t, base, TransportOptions{}).SendToChat(t.Context(), "t", []byte(body))
	e := wantError(t, err)
	require.Equal(t, ClassState, e.Class)
	require.Equal(t, "send", e.Op)
	require.Equal(t, 86003, e.Result.Errcode)
}
