package intake_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

// file is content of type file with the media object.
func file(media string) domain.SendRequest {
	return domain.SendRequest{
		App: "ops", Type: &domain.TypeRef{Name: "file"}, To: domain.To{Users: []string{"a"}},
		Content: json.RawMessage(`{"media":` + media + `}`),
	}
}

// TestMediaObjectsAreReadStrictly: as all else in a request.
func TestMediaObjectsAreReadStrictly(t *testing.T) {
	in, _ := newIntake(t)
	up, err := in.Upload(t.Context(), "a.txt", []byte("some text"))
	require.NoError(t, err)
	b64 := base64.StdEncoding.EncodeToString([]byte("some text"))
	for _, c := range []struct{ media, want string }{
		{fmt.Sprintf(`{"upload":%q}`, up.ID), ""},
		{fmt.Sprintf(`{"base64":%q,"filename":"b.txt"}`, b64), ""},
		{fmt.Sprintf(`{"upload":%q,"filename":null,"url":""}`, up.ID), ""},
		{fmt.Sprintf(`{"upload":%q,"x":1}`, up.ID), "/x unknown"},
		{fmt.Sprintf(`{"upload":%q,"a/b":1}`, up.ID), "/a~1b unknown"},
		{fmt.Sprintf(`{"Upload":%q}`, up.ID), "/Upload unknown"},
		{`{"upload":7}`, "/upload type"},
		{`{"upload":"upl_gone"}`, "/upload unknown_upload"},
		{fmt.Sprintf(`{"upload":%q,"base64":%q}`, up.ID, b64), " required"},
		{`{}`, " required"},
		{`{"base64":"%"}`, "/base64 format"},
		{`{"url":"ftp://x.cn/a"}`, "/url format"},
		{`{"url":"https://x.cn/a"}`, "/url unreachable"},
	} {
		_, err := in.DryRun(t.Context(), anybody, file(c.media))
		if c.want == "" {
			require.NoError(t, err, c.media)
			continue
		}
		require.Equal(t, []string{"/content/media" + c.want}, wrong(t, err), c.media)
	}
}

// TestUploadIsAsItIsKept: what the answer tells is what a later look finds.
func TestUploadIsAsItIsKept(t *testing.T) {
	in, s := newIntake(t)
	up, err := in.Upload(t.Context(), "a.txt", []byte("some text"))
	require.NoError(t, err)
	kept, err := s.GetUpload(t.Context(), up.ID)
	require.NoError(t, err)
	require.Equal(t, kept, up)
}

// TestStoreTroubleIsNoFaultOfTheMedia: a client gives up a message that is
// refused, and repeats one that could not be stored.
func TestStoreTroubleIsNoFaultOfTheMedia(t *testing.T) {
	in, s := newIntake(t)
	up, err := in.Upload(t.Context(), "a.txt", []byte("some text"))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	for _, media := range []string{`{"base64":"c29tZSB0ZXh0"}`, fmt.Sprintf(`{"upload":%q}`, up.ID)} {
		_, err := in.Submit(t.Context(), anybody, file(media), domain.SubmitOptions{})
		require.Error(t, err)
		require.NotEqual(t, domain.CodeInvalid, domain.CodeOf(err), "%v", err)
		_, _, err = in.SubmitBatch(t.Context(), anybody, []domain.SendRequest{file(media)}, domain.SubmitOptions{})
		require.Error(t, err, "the batch as a whole")
	}
}
