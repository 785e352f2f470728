package sandbox

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"time"
)

const (
	mediaLife   = 3 * 24 * time.Hour
	maxMedia    = 10_000
	minMedia    = 5 // bytes; a file must be larger
	maxImage    = 10 << 20
	maxVoice    = 2 << 20
	maxVideo    = 10 << 20
	maxFile     = 20 << 20
	maxPicture  = 2 << 20 // uploadimg
	maxFilename = 255
)

// medium is one uploaded file.
type medium struct {
	id       string
	kind     string
	filename string
	mime     string
	robot    string // key of the only robot that may send it, "" for the apps
	data     []byte
	expires  time.Time // zero: never (uploadimg)
}

// mediaShelf keeps the newest media within a number of bytes.
type mediaShelf struct {
	byID  map[string]*medium
	order []string
	bytes int
	used  int
}

func newMediaShelf(bytes int) *mediaShelf {
	return &mediaShelf{byID: map[string]*medium{}, bytes: bytes}
}

func (m *mediaShelf) put(f *medium) {
	m.byID[f.id] = f
	m.order = append(m.order, f.id)
	m.used += len(f.data)
	for len(m.order) > 1 && (m.used > m.bytes || len(m.order) > maxMedia) {
		m.used -= len(m.byID[m.order[0]].data)
		delete(m.byID, m.order[0])
		m.order = m.order[1:]
	}
}

// findMedia finds what the apps, or one robot, may send.
func (s *Server) findMedia(id, robot string, now time.Time) (*medium, *refusal) {
	f := s.media.byID[id]
	if f == nil || f.expires.IsZero() || f.robot != robot {
		return nil, refuse(codeInvalidMediaID)
	}
	if !now.Before(f.expires) {
		return nil, refuse(s.opt.ExpiredMediaErrcode)
	}
	return f, nil
}

type uploadBody struct {
	status
	Type      string `json:"type"`
	MediaID   string `json:"media_id"`
	CreatedAt string `json:"created_at"`
}

func (s *Server) upload(c *call) response {
	now := s.Now()
	if no := s.mayUpload(c, now); no != nil {
		return s.refused(no, c.ip, false)
	}
	switch c.kind {
	case "image", "voice", "video", "file":
	default:
		return s.refused(refuseText(codeTypeParam, "invalid type parameter"), c.ip, false)
	}
	return s.shelve(c, "", now)
}

// shelve reads and keeps an uploaded file, for one robot or, without a key,
// for the apps.
func (s *Server) shelve(c *call, robot string, now time.Time) response {
	f, no := readPart(c, "media")
	if no == nil {
		no = checkMedium(c.kind, f.data)
	}
	if no != nil {
		return s.refused(no, c.ip, false)
	}
	f.kind, f.robot, f.expires = c.kind, robot, now.Add(mediaLife)
	s.mu.Lock()
	f.id = s.randomText(64)
	s.media.put(f)
	s.mu.Unlock()
	return okResponse(uploadBody{status: status{Errmsg: "ok"}, Type: f.kind, MediaID: f.id, CreatedAt: strconv.FormatInt(now.Unix(), 10)})
}

// uploadImage answers with an address of the sandbox itself, where WeCom
// answers with one of its picture hosts.
func (s *Server) uploadImage(c *call) response {
	if no := s.mayUpload(c, s.Now()); no != nil {
		return s.refused(no, c.ip, false)
	}
	f, no := readPart(c, "")
	if no == nil {
		no = checkPicture(f.data)
	}
	if no != nil {
		return s.refused(no, c.ip, false)
	}
	f.kind = "picture"
	s.mu.Lock()
	f.id = s.randomText(48)
	s.media.put(f)
	s.mu.Unlock()
	scheme := "http://"
	if c.r.TLS != nil {
		scheme = "https://"
	}
	return okResponse(struct {
		status
		URL string `json:"url"`
	}{status{Errmsg: "ok"}, scheme + c.r.Host + "/sandbox/media/" + f.id})
}

func (s *Server) mayUpload(c *call, now time.Time) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, no := s.authorize(c, now); no != nil {
		return no
	}
	if c.r.Method != http.MethodPost {
		return refuse(codeInvalidParam)
	}
	return nil
}

// readPart returns the first file part of that form name, or of any name when
// it is empty. A part without a plain filename is not a file for WeCom.
func readPart(c *call, name string) (*medium, *refusal) {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxUploadBody)
	parts, err := c.r.MultipartReader()
	if err != nil {
		return nil, refuse(codeEmptyMedia)
	}
	for range 16 {
		part, err := parts.NextPart()
		if err != nil {
			return nil, refuseRead(err)
		}
		if part.FileName() == "" || (name != "" && part.FormName() != name) {
			continue
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return nil, refuseRead(err)
		}
		if len(data) == 0 {
			return nil, refuse(codeEmptyMedia)
		}
		file := path.Base(part.FileName())
		if len(file) > maxFilename {
			file = file[:maxFilename]
		}
		return &medium{filename: file, data: data, mime: sniff(data)}, nil
	}
	return nil, refuse(codeEmptyMedia)
}

func refuseRead(err error) *refusal {
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return refuseText(codeFileSize, "media size out of limit")
	}
	return refuse(codeEmptyMedia)
}

// sniff names the types that WeCom takes; all else is octets.
func sniff(data []byte) string {
	switch {
	case isJPEG(data):
		return "image/jpeg"
	case isPNG(data):
		return "image/png"
	case isAMR(data):
		return "voice/amr"
	case isMP4(data):
		return "video/mp4"
	}
	return "application/octet-stream"
}

func isJPEG(b []byte) bool { return bytes.HasPrefix(b, []byte("\xff\xd8\xff")) }
func isPNG(b []byte) bool  { return bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")) }
func isAMR(b []byte) bool  { return bytes.HasPrefix(b, []byte("#!AMR")) }
func isMP4(b []byte) bool  { return len(b) >= 8 && string(b[4:8]) == "ftyp" }

func checkMedium(kind string, data []byte) *refusal {
	if len(data) <= minMedia {
		return refuseText(codeMediaSize, "invalid media size")
	}
	switch kind {
	case "image":
		switch {
		case len(data) > maxImage:
			return refuseText(codeImageSize, "invalid image size")
		case !isJPEG(data) && !isPNG(data):
			return refuseText(codeBrokenImage, "invalid image format")
		}
	case "voice":
		switch {
		case len(data) > maxVoice:
			return refuseText(codeVoiceLimits, "voice size out of limit")
		case !isAMR(data):
			return refuseText(codeVoiceType, "voice only support amr")
		}
	case "video":
		switch {
		case len(data) > maxVideo:
			return refuseText(codeVideoSize, "invalid video size")
		case !isMP4(data):
			return refuseText(codeMediaType, "invalid media type")
		}
	case "file":
		if len(data) > maxFile {
			return refuseText(codeFileSize, "media size out of limit")
		}
	}
	return nil
}

func checkPicture(data []byte) *refusal {
	switch {
	case len(data) <= minMedia:
		return refuseText(codeMediaSize, "invalid media size")
	case len(data) > maxPicture:
		return refuseText(codeImageSize, "invalid image size")
	case !isJPEG(data) && !isPNG(data):
		return refuseText(codeBrokenImage, "invalid image format")
	}
	return nil
}

// mediaGet answers with the file, or the part of it that Range names.
func (s *Server) mediaGet(c *call) response {
	now := s.Now()
	s.mu.Lock()
	_, no := s.authorize(c, now)
	var f *medium
	if no == nil {
		if id := c.r.URL.Query().Get("media_id"); id == "" {
			no = refuse(codeMissingMedia)
		} else {
			f, no = s.findMedia(id, "", now)
		}
	}
	s.mu.Unlock()
	if no != nil {
		return s.refused(no, c.ip, false)
	}
	head := http.Header{"Content-Disposition": {attachment(f.filename)}}
	data, code := f.data, http.StatusOK
	if from, to, ok := byteRange(c.r.Header.Get("Range"), len(f.data)); ok {
		head.Set("Content-Range", "bytes "+itoa(from)+"-"+itoa(to-1)+"/"+itoa(len(f.data)))
		data, code = f.data[from:to], http.StatusPartialContent
	}
	return response{status: code, contentType: f.mime, header: head, body: data}
}

func attachment(filename string) string {
	return mime.FormatMediaType("attachment", map[string]string{"filename": filename})
}

// byteRange reads "bytes=a-b" and "bytes=a-"; anything else means the whole.
func byteRange(header string, size int) (from, to int, ok bool) {
	rest, found := bytes.CutPrefix([]byte(header), []byte("bytes="))
	if !found {
		return 0, 0, false
	}
	a, b, found := bytes.Cut(rest, []byte("-"))
	from, err := strconv.Atoi(string(a))
	if !found || err != nil || from < 0 || from >= size {
		return 0, 0, false
	}
	to = size
	if len(b) > 0 {
		last, err := strconv.Atoi(string(b))
		if err != nil || last < from {
			return 0, 0, false
		}
		to = min(last+1, size)
	}
	return from, to, true
}
