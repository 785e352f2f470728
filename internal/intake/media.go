package intake

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/jsontree"
)

// uploadLife is how long an upload may be referred to by its id.
const uploadLife = 72 * time.Hour

// WeCom's size limits by media type (page 90253), in bytes. Every file must be
// larger than five bytes.
var mediaLimits = map[string]int64{
	"image": 10 << 20, "voice": 2 << 20, "video": 10 << 20, "file": 20 << 20, "newsimage": 2 << 20,
	"robotimage": 2 << 20, // page 99110
}

const minMedia = 6

// mediaSource is a {"media": {…}} object of the API.
type mediaSource struct{ URL, Base64, Filename, Upload string }

// mediaResolver turns media objects into stored files while a message is
// planned, and remembers them for the stored request.
type mediaResolver struct {
	in    *Intake
	store bool // false in a dry run: nothing is written
	seen  map[string]string
}

// Resolve stores the file behind a media object and returns its reference.
// mediaType is image, voice, video, file or newsimage. An error is that of the
// store: the object may be right.
func (m *mediaResolver) Resolve(ctx context.Context, raw json.RawMessage, mediaType string) (domain.MediaRef, *domain.FieldError, error) {
	src, bad := parseMediaSource(raw)
	if bad != nil {
		return domain.MediaRef{}, bad, nil
	}
	up, data, bad, err := m.load(ctx, src)
	if bad == nil && err == nil {
		bad = CheckMedia(mediaType, up.Size, up.MIME, up.Filename)
	}
	if bad != nil || err != nil {
		return domain.MediaRef{}, bad, err
	}
	if data != nil && m.store {
		up.ID = m.in.cfg.IDs.New(domain.PrefixUpload)
		if err := m.in.cfg.Store.PutUpload(ctx, up, data); err != nil {
			return domain.MediaRef{}, nil, err
		}
	}
	if m.seen == nil {
		m.seen = map[string]string{}
	}
	m.seen[string(raw)] = up.ID
	name := src.Filename
	if name == "" {
		name = up.Filename
	}
	return domain.MediaRef{SHA256: up.SHA256, Type: mediaType, Name: name}, nil, nil
}

// mediaFields are the members of a media object.
var mediaFields = []string{"base64", "filename", "upload", "url"}

// parseMediaSource reads a media object as strictly as the rest of a request is
// read: what is not known here is refused, and names are written as documented.
func parseMediaSource(raw json.RawMessage) (src mediaSource, bad *domain.FieldError) {
	wrong := func(pointer, code, message, fix string, args ...any) (mediaSource, *domain.FieldError) {
		return mediaSource{}, &domain.FieldError{Pointer: pointer, Code: code, Args: args, Message: message, Fix: fix}
	}
	n, err := jsontree.Parse(raw)
	if err != nil || n.Kind != jsontree.Object {
		return wrong("", "type", "is not a media object", `use {"url":…}, {"base64":…,"filename":…} or {"upload":"upl_…"}`)
	}
	given := 0
	for i := range n.Items {
		name, v := n.Names[i].Text(), &n.Items[i]
		at := "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		var into *string
		switch name {
		case "url":
			into = &src.URL
		case "base64":
			into = &src.Base64
		case "upload":
			into = &src.Upload
		case "filename":
			into = &src.Filename
		default:
			return wrong(at, "unknown", "is not known here", "use one of: "+strings.Join(mediaFields, ", "), mediaFields)
		}
		switch {
		case v.Kind == jsontree.Null: // counts as absent
			continue
		case v.Kind != jsontree.String:
			return wrong(at, "type", "must be string, not "+v.Kind.String(), "send string", "string", v.Kind.String())
		}
		if *into = v.Text(); *into != "" && into != &src.Filename {
			given++
		}
	}
	if given != 1 {
		return wrong("", "required", "names no file, or more than one", "give exactly one of url, base64 and upload")
	}
	return src, nil
}

func (m *mediaResolver) load(ctx context.Context, src mediaSource) (domain.Upload, []byte, *domain.FieldError, error) {
	switch {
	case src.Upload != "":
		up, err := m.in.cfg.Store.GetUpload(ctx, src.Upload)
		switch {
		case err == nil && time.Now().Before(up.ExpiresAt):
			return up, nil, nil, nil
		case err != nil && domain.CodeOf(err) != domain.CodeNotFound:
			return domain.Upload{}, nil, nil, err
		}
		f := field("/upload", "unknown_upload", "is not an upload that still exists", "upload the file again with POST /v1/media")
		return domain.Upload{}, nil, &f, nil
	case src.Base64 != "":
		data, err := base64.StdEncoding.DecodeString(src.Base64)
		if err != nil {
			f := field("/base64", "format", "is not base64", "encode the file's bytes with the standard alphabet and padding")
			return domain.Upload{}, nil, &f, nil
		}
		return NewUpload(src.Filename, data), data, nil, nil
	default:
		u, err := url.Parse(src.URL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
			f := field("/url", "format", "is not an http or https URL", "give the full URL of the file")
			return domain.Upload{}, nil, &f, nil
		}
		data, name, _, err := m.in.cfg.Fetch.Get(ctx, src.URL, mediaLimits["file"])
		if err != nil {
			f := field("/url", "unreachable", "could not be downloaded: "+err.Error(), "check the URL; private addresses need HONGYAN_EGRESS_ALLOW")
			return domain.Upload{}, nil, &f, nil
		}
		if src.Filename != "" {
			name = src.Filename
		}
		if name == "" {
			name = path.Base(u.Path)
		}
		return NewUpload(name, data), data, nil, nil
	}
}

// rewrite returns the request as it is kept: the bytes of media are replaced
// by the ids of their uploads.
func (m *mediaResolver) rewrite(req domain.SendRequest) domain.SendRequest {
	for raw, id := range m.seen {
		if id != "" {
			req.Content = json.RawMessage(strings.ReplaceAll(string(req.Content), raw, `{"upload":"`+id+`"}`))
		}
	}
	return req
}

// NewUpload describes a file: content hash, sniffed type, a harmless name.
func NewUpload(filename string, data []byte) domain.Upload {
	sum := sha256.Sum256(data)
	name := path.Base(strings.ReplaceAll(filename, `\`, "/"))
	if name == "." || name == "/" || name == "" {
		name = "file"
	}
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == 0x7f {
			return -1
		}
		return r
	}, name)
	if len(name) > 128 {
		name = strings.ToValidUTF8(name[len(name)-128:], "")
	}
	now := time.Now().UTC().Truncate(time.Microsecond) // as the store keeps it
	up := domain.Upload{
		SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data)), Filename: name,
		MIME: sniff(data), CreatedAt: now, ExpiresAt: now.Add(uploadLife),
	}
	switch {
	case up.MIME == "image/jpeg" || up.MIME == "image/png":
		up.Type = "image"
	case up.MIME == "audio/amr":
		up.Type = "voice"
	case up.MIME == "video/mp4":
		up.Type = "video"
	default:
		up.Type = "file"
	}
	return up
}

func sniff(data []byte) string {
	if strings.HasPrefix(string(data[:min(len(data), 6)]), "#!AMR") {
		return "audio/amr"
	}
	mime, _, _ := strings.Cut(http.DetectContentType(data), ";")
	return mime
}

// CheckMedia applies WeCom's documented limits for a media type.
func CheckMedia(mediaType string, size int64, mime, name string) *domain.FieldError {
	limit := mediaLimits[mediaType]
	switch {
	case size < minMedia:
		return &domain.FieldError{Code: "min_bytes", Args: []any{minMedia, size}, Message: "is smaller than 6 bytes, which WeCom refuses", Fix: "send a real file"}
	case size > limit:
		return &domain.FieldError{Code: "max_bytes", Args: []any{limit, size}, Message: fmt.Sprintf("is larger than the %d bytes that WeCom takes as %s", limit, mediaType), Fix: "make it smaller, or send it as a file (20 MiB)"}
	}
	want := map[string][]string{
		"image": {"image/jpeg", "image/png"}, "newsimage": {"image/jpeg", "image/png"}, "robotimage": {"image/jpeg", "image/png"},
		"voice": {"audio/amr"}, "video": {"video/mp4"},
	}[mediaType]
	if want != nil && !oneOf(mime, want...) {
		return &domain.FieldError{Code: "media_type", Args: []any{strings.Join(want, ", "), mime}, Message: "is " + mime + ", which WeCom does not take as " + mediaType, Fix: "convert it to " + strings.Join(want, " or ") + ", or send it as a file"}
	}
	_ = name
	return nil
}

// Upload stores a file for later messages.
func (in *Intake) Upload(ctx context.Context, filename string, data []byte) (domain.Upload, error) {
	up := NewUpload(filename, data)
	if up.Size < minMedia {
		return domain.Upload{}, domain.Invalid(domain.FieldError{Pointer: "/media", Code: "min_bytes", Args: []any{minMedia, up.Size}, Message: "is smaller than 6 bytes, which WeCom refuses", Fix: "send a real file"})
	}
	if up.Size > mediaLimits["file"] {
		return domain.Upload{}, domain.Errorf(domain.CodeTooLarge, "a media file may have at most 20 MiB")
	}
	up.ID = in.cfg.IDs.New(domain.PrefixUpload)
	if err := in.cfg.Store.PutUpload(ctx, up, data); err != nil {
		return domain.Upload{}, err
	}
	return up, nil
}
