package wecom

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxFilename bounds the shown name of an upload in bytes.
const maxFilename = 255

// Upload stores a file for use in messages for three days. mediaType is image,
// voice, video or file; filename is what members see and is stripped of what
// cannot stand in a header. data is not copied and must not change during the
// call.
func (c *Client) Upload(ctx context.Context, token, mediaType, filename string, data []byte) (UploadResult, error) {
	k := call{op: "upload", secrets: []string{token}}
	q := "access_token=" + url.QueryEscape(token) + "&type=" + url.QueryEscape(mediaType)
	return c.upload(ctx, &k, "/cgi-bin/media/upload", q, mediaType, filename, data)
}

func (c *Client) upload(ctx context.Context, k *call, path, query, mediaType, filename string, data []byte) (UploadResult, error) {
	a, err := c.postFile(ctx, k, path, query, mediaType, filename, data)
	if err != nil {
		return UploadResult{}, err
	}
	if a.MediaID == "" {
		return UploadResult{}, k.fail(ClassAmbiguous, "the answer holds no media_id")
	}
	r := UploadResult{MediaID: a.MediaID}
	if at, err := strconv.ParseInt(a.CreatedAt.String(), 10, 64); err == nil && at > 0 {
		r.CreatedAt = time.Unix(at, 0).UTC()
	}
	return r, nil
}

// UploadImage stores a picture for the body of news articles and returns its
// lasting address. WeCom takes 2 MB at most, and 1,000 a day per corp.
func (c *Client) UploadImage(ctx context.Context, token, filename string, data []byte) (string, error) {
	k := call{op: "uploadimg", secrets: []string{token}}
	a, err := c.postFile(ctx, &k, "/cgi-bin/media/uploadimg", "access_token="+url.QueryEscape(token), "image", filename, data)
	if err != nil {
		return "", err
	}
	if a.URL == "" {
		return "", k.fail(ClassAmbiguous, "the answer holds no url")
	}
	return a.URL, nil
}

// postFile sends a multipart form by hand: WeCom wants a plain UTF-8 filename
// in quotes and a Content-Length, and loses the name or the file otherwise.
func (c *Client) postFile(ctx context.Context, k *call, path, query, mediaType, filename string, data []byte) (*answer, error) {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	boundary := "hongyan-" + hex.EncodeToString(random[:])
	head := "--" + boundary + "\r\n" +
		`Content-Disposition: form-data; name="media"; filename="` + headerName(filename) + `"; filelength=` + strconv.Itoa(len(data)) + "\r\n" +
		"Content-Type: " + contentType(mediaType, data) + "\r\n\r\n"
	tail := "\r\n--" + boundary + "--\r\n"
	req := &http.Request{
		Method:        http.MethodPost,
		Header:        http.Header{"User-Agent": {c.agent}, "Content-Type": {"multipart/form-data; boundary=" + boundary}},
		Body:          io.NopCloser(io.MultiReader(strings.NewReader(head), bytes.NewReader(data), strings.NewReader(tail))),
		ContentLength: int64(len(head) + len(data) + len(tail)),
	}
	a, _, err := c.do(ctx, k, req, c.base.Path+path, query, max(c.timeout, uploadTimeout))
	return a, err
}

// headerName makes a file name fit for a quoted header value, without folders.
func headerName(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case unicode.IsControl(r), r == unicode.ReplacementChar:
			return -1
		default:
			return r
		}
	}, name)
	if dot := strings.LastIndexByte(name, '.'); dot > 0 && len(name) > maxFilename && len(name)-dot <= 16 {
		name = CutBytes(name[:dot], maxFilename-(len(name)-dot), "") + name[dot:]
	}
	name = strings.TrimSpace(CutBytes(name, maxFilename, ""))
	if name == "" {
		return "file"
	}
	return name
}

// contentType names a file the way WeCom's own table does.
func contentType(mediaType string, data []byte) string {
	switch mediaType {
	case "image":
		if bytes.HasPrefix(data, []byte("\x89PNG")) {
			return "image/png"
		}
		return "image/jpg"
	case "voice":
		return "voice/amr"
	case "video":
		return "video/mp4"
	default:
		return "application/octet-stream"
	}
}
