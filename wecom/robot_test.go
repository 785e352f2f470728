package wecom

import (
	"crypto/md5" //nolint:gosec // WeCom asks for it
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

func TestSendToRobot(t *testing.T) {
	base, last := recording(t, `{"errcode":0,"errmsg":"ok"}`)
	const body = `{"msgtype":"text",  "text":{"content":"<中>"}}`
	got, err := testClient(t, base+"/relay", TransportOptions{}).SendToRobot(t.Context(), "k+y/=", []byte(body))
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(SendResult{HTTPStatus: 200, Errmsg: "ok"}, got))
	require.Equal(t, "POST /relay/cgi-bin/webhook/send?key=k%2By%2F%3D", last().method+" "+last().uri)
	require.Equal(t, body, last().body, "exactly these bytes")

	for answer, want := range map[string]Class{
		`{"errcode":93000,"errmsg":"invalid webhook url"}`:                                                ClassConfig,
		`{"errcode":93004,"errmsg":"robot disabled"}`:                                                     ClassConfig,
		`{"errcode":45009,"errmsg":"api freq out of limit"}`:                                              ClassQuota,
		`{"errcode":40008,"errmsg":"invalid message type"}`:                                               ClassPayload,
		`{"errcode":40058,"errmsg":"markdown.content exceed max length 4096. invalid Request Parameter"}`: ClassPayload,
		`{"errcode":93017}`: ClassPayload,
		`{"errcode":40007}`: ClassMedia,
		`{}`:                ClassAmbiguous,
	} {
		base, _ := recording(t, answer)
		_, err := testClient(t, base, TransportOptions{}).SendToRobot(t.Context(), "a-key", []byte(body))
		e := wantError(t, err)
		require.Equal(t, want, e.Class, answer)
		require.Equal(t, "send", e.Op)
		if e.Code != 0 {
			require.Equal(t, e.Code, e.Result.Errcode)
		}
	}
}

func TestUploadToRobot(t *testing.T) {
	base, last := recording(t, `{"errcode":0,"errmsg":"ok","type":"voice","media_id":"M1","created_at":"1700000000"}`)
	got, err := testClient(t, base, TransportOptions{}).UploadToRobot(t.Context(), "k&y", "voice", "嘀.amr", []byte("#!AMR\n0"))
	require.NoError(t, err)
	require.Equal(t, UploadResult{MediaID: "M1", CreatedAt: time.Unix(1700000000, 0).UTC()}, got)
	require.Equal(t, "POST /cgi-bin/webhook/upload_media?key=k%26y&type=voice", last().method+" "+last().uri)
	require.Contains(t, last().body, `name="media"; filename="嘀.amr"; filelength=7`)

	for answer, want := range map[string]Class{
		`{"errcode":40058,"errmsg":"invalid param 'key'"}`:          ClassConfig, // a wrong key; a wrong message elsewhere
		`{"errcode":301017,"errmsg":"voice only support amr"}`:      ClassPayload,
		`{"errcode":45009,"errmsg":"api freq out of limit"}`:        ClassQuota,
		`{"errcode":0,"errmsg":"ok","created_at":"1700000000"}`:     ClassAmbiguous,
		`{"errcode":44001,"errmsg":"empty media data, hint: [17]"}`: ClassPayload,
	} {
		base, _ := recording(t, answer)
		_, err := testClient(t, base, TransportOptions{}).UploadToRobot(t.Context(), "a-key", "file", "a", []byte("123456"))
		e := wantError(t, err)
		require.Equal(t, want, e.Class, answer)
		require.Equal(t, "upload", e.Op)
	}
	require.Equal(t, ClassPayload, Classify(40058))
}

var png = []byte("\x89PNG\r\n\x1a\n0000")

// picture is a robot's image content of these bytes.
func picture(raw []byte) string {
	sum := md5.Sum(raw) //nolint:gosec // WeCom asks for it
	return `{"base64":"` + base64.StdEncoding.EncodeToString(raw) + `","md5":"` + hex.EncodeToString(sum[:]) + `"}`
}

// robotContents are as small as WeCom allows.
var robotContents = map[Kind]string{
	KindText:         `{"content":"x","mentioned_list":["zhangsan","@all"],"mentioned_mobile_list":["13800000000"]}`,
	KindMarkdown:     goodContents[KindMarkdown],
	KindMarkdownV2:   goodContents[KindMarkdownV2],
	KindImage:        picture(png),
	KindVoice:        goodContents[KindVoice],
	KindFile:         goodContents[KindFile],
	KindNews:         goodContents[KindNews],
	KindTemplateCard: goodContents[KindTemplateCard],
}

func TestValidateRobot(t *testing.T) {
	for kind, content := range robotContents {
		require.Empty(t, ValidateRobot(kind, []byte(content)), kind)
	}
	require.Empty(t, ValidateRobot(KindTemplateCard, []byte(goodCards["news_notice"])))
	require.Len(t, RobotKinds(), len(robotContents))
	for _, kind := range append(Kinds(), KindMarkdownV2) {
		takes := slices.Contains(RobotKinds(), kind)
		require.Equal(t, robotContents[kind] != "", takes, kind)
		if !takes {
			require.Equal(t, []string{" enum"}, codes(ValidateRobot(kind, []byte(goodContents[kind]))), kind)
		}
	}

	largest := append(slices.Clone(png), make([]byte, 2<<20-len(png))...)
	small := picture(png)
	for _, c := range []struct {
		kind    Kind
		content string
		want    []string
	}{
		{KindText, `{"content":"` + strings.Repeat("x", 2048) + `"}`, []string{}},
		{KindText, `{"content":"` + strings.Repeat("x", 2049) + `"}`, []string{"/content max_bytes"}},
		{KindText, `{}`, []string{"/content required"}},
		{KindText, `{"content":"x","mentioned_list":["a",5,null],"mentioned_mobile_list":"138"}`, []string{"/mentioned_list/1 type", "/mentioned_list/2 type", "/mentioned_mobile_list type"}},
		{KindText, `[]`, []string{" type"}},
		{KindMarkdown, `{"content":"` + strings.Repeat("x", 4096) + `"}`, []string{}},
		{KindMarkdown, `{"content":"` + strings.Repeat("x", 4097) + `"}`, []string{"/content max_bytes"}},
		{KindMarkdownV2, `{"content":"` + strings.Repeat("x", 4096) + `"}`, []string{}},
		{KindMarkdownV2, `{"content":"` + strings.Repeat("x", 4097) + `"}`, []string{"/content max_bytes"}},
		{KindImage, picture(largest), []string{}},
		{KindImage, picture(append(largest, 0)), []string{"/base64 max_bytes"}},
		{KindImage, `{"media_id":"m"}`, []string{"/base64 required", "/md5 required"}},
		{KindImage, picture([]byte("\xff\xd8\xff0000")), []string{}},
		{KindImage, picture([]byte("GIF89a0")), []string{"/base64 pattern"}},
		{KindImage, string(set(t, small, "/md5", nil)), []string{"/md5 required"}},
		{KindImage, string(set(t, small, "/md5", strings.Repeat("0", 32))), []string{"/md5 pattern"}},
		{KindImage, string(set(t, small, "/base64", "data:image/png;base64,iVBORw==")), []string{"/base64 pattern"}},
		{KindImage, string(set(t, small, "/base64", base64.RawStdEncoding.EncodeToString(png[:10]))), []string{"/base64 pattern"}},
		{KindImage, string(set(t, small, "/base64", base64.StdEncoding.EncodeToString(png)+"\n")), []string{"/base64 pattern"}},
		{KindVoice, `{}`, []string{"/media_id required"}},
		{KindFile, `{"media_id":7}`, []string{"/media_id type"}},
		{KindNews, `{"articles":[]}`, []string{"/articles min_items"}},
		{KindNews, `{"articles":[` + strings.Repeat(`{"title":"t","url":"https://h"},`, 8) + `{"title":"t","url":"https://h"}]}`, []string{"/articles max_items"}},
		{KindNews, `{"articles":[{"title":"t","appid":"wx","pagepath":"p"}]}`, []string{"/articles/0/url required"}},
		{KindNews, `{"articles":[{"title":"` + strings.Repeat("x", 129) + `","description":"` + strings.Repeat("x", 513) + `","url":"h","picurl":"p"}]}`, []string{"/articles/0/title max_bytes", "/articles/0/description max_bytes", "/articles/0/url scheme", "/articles/0/picurl scheme"}},
		{KindTemplateCard, goodCards["button_interaction"], []string{"/card_type enum"}},
		{KindTemplateCard, goodCards["vote_interaction"], []string{"/card_type enum"}},
		{KindTemplateCard, goodCards["multiple_interaction"], []string{"/card_type enum"}},
		{KindTemplateCard, goodCards["news_notice area"], []string{"/card_image required"}},
		{KindTemplateCard, `{"card_type":"poster"}`, []string{"/card_type enum"}},
	} {
		require.Equal(t, c.want, codes(ValidateRobot(c.kind, []byte(c.content))), "%s %.200s", c.kind, c.content)
	}
	require.Equal(t, 2<<20+1, ValidateRobot(KindImage, []byte(picture(append(largest, 0))))[0].Got)

	var obj map[string]any
	require.NoError(t, json.Unmarshal([]byte(small), &obj))
	require.Empty(t, ValidateRobotObject(KindImage, obj))
}
