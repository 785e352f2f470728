package httpapi

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"time"

	"hongyan/internal/domain"
)

// Upload is a stored media file.
type Upload struct {
	ID        string     `json:"id"`
	SHA256    string     `json:"sha256"`
	Size      int64      `json:"size"`
	Type      string     `json:"type" doc:"image, voice, video or file"`
	Filename  string     `json:"filename"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// maxParts bounds how many parts are skipped in search of the file.
const maxParts = 20

func uploadMedia(s *Server, w http.ResponseWriter, r *request) error {
	if err := checkEncoding(r.Request); err != nil {
		return err
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return &domain.Error{Code: domain.CodeUnsupportedMedia, Args: []any{"multipart/form-data"}, Detail: "this path reads multipart/form-data"}
	}
	rd, done, err := s.limitBody(w, r, limitMedia+mediaFrame)
	if err != nil {
		return tooLarge(limitMedia)
	}
	name, data, err := findPart(multipart.NewReader(rd, params["boundary"]))
	if err != nil {
		return err
	}
	done()
	if s.cfg.Uploads == nil {
		return errNoService
	}
	u, err := s.cfg.Uploads.Upload(r.Context(), name, data)
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, Upload{ID: u.ID, SHA256: u.SHA256, Size: u.Size, Type: u.Type, Filename: u.Filename, ExpiresAt: timeOrNil(u.ExpiresAt)})
}

// findPart reads the part named media and leaves the rest.
func findPart(m *multipart.Reader) (name string, data []byte, err error) {
	broken := func(err error) error {
		if isTooLarge(err) {
			return tooLarge(limitMedia)
		}
		if e := bodyError(err, limitMedia); domain.CodeOf(e) == domain.CodeTimeout {
			return e
		}
		return domain.Invalid(domain.FieldError{Code: "multipart", Message: "is not a usable multipart body", Fix: "send multipart/form-data with one part named media and a filename"})
	}
	for range maxParts {
		p, err := m.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", nil, broken(err)
		}
		if p.FormName() != "media" {
			continue
		}
		data, err := io.ReadAll(io.LimitReader(p, limitMedia+1))
		if err != nil {
			return "", nil, broken(err)
		}
		if len(data) > limitMedia {
			return "", nil, tooLarge(limitMedia)
		}
		if p.FileName() == "" {
			return "", nil, domain.Invalid(domain.FieldError{Pointer: "/media", Code: "required", Message: "has no filename", Fix: "give the part a filename; members see it"})
		}
		return p.FileName(), data, nil
	}
	return "", nil, domain.Invalid(domain.FieldError{Pointer: "/media", Code: "required", Message: "is missing", Fix: "send the file as a part named media"})
}
