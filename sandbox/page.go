package sandbox

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed assets
var assets embed.FS

// The page runs no inline script or style and talks to nobody but the sandbox.
const pagePolicy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; object-src 'none'"

func (s *Server) pageRoutes(m *http.ServeMux) {
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		panic("sandbox: embedded assets are missing: " + err.Error())
	}
	static := http.StripPrefix("/sandbox/assets/", http.FileServerFS(files))
	m.Handle("GET /sandbox/assets/", secured(static))
	m.Handle("GET /{$}", secured(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "index.html")
	})))
	m.Handle("GET /sandbox/stream", secured(http.HandlerFunc(s.stream)))
	m.Handle("GET /sandbox/media/{id}", secured(http.HandlerFunc(s.picture)))
}

func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// picture shows an uploaded file to the phone page. Only pictures, sound and
// film are shown in place; strangers' files are downloads.
func (s *Server) picture(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	f := s.media.byID[r.PathValue("id")]
	s.mu.Unlock()
	if f == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.mime)
	switch f.mime {
	case "image/jpeg", "image/png", "video/mp4":
	default:
		w.Header().Set("Content-Disposition", attachment(f.filename))
	}
	_, _ = w.Write(f.data)
}
