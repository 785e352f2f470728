package sandbox

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

const portalPage = `<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Please sign in to this network</h1></body></html>`

// act answers c as the fault says. real is the true answer when WeCom has
// taken the call, else nil.
func (s *Server) act(c *call, f *Fault, real *response) {
	if f.Drop == Hang {
		s.hang(c)
	}
	c.landed()
	switch {
	case f.Errcode != 0:
		r := refuse(f.Errcode)
		if f.Errmsg != "" {
			r.text = f.Errmsg
		}
		s.refused(r, c.ip, false).write(c.w)
	case f.HTTPStatus != 0:
		text := fmt.Sprintf("%d %s", f.HTTPStatus, http.StatusText(f.HTTPStatus))
		r := response{
			status: f.HTTPStatus, contentType: "text/html",
			body: []byte("<html><head><title>" + text + "</title></head><body><center><h1>" + text + "</h1></center></body></html>"),
		}
		if f.Location != "" {
			r.header = http.Header{"Location": {f.Location}}
		}
		if f.HTTPStatus == http.StatusNoContent || f.HTTPStatus == http.StatusNotModified {
			r.body = nil
		}
		r.write(c.w)
	case f.HTML:
		response{status: http.StatusOK, contentType: "text/html; charset=utf-8", body: []byte(portalPage)}.write(c.w)
	case f.Empty:
		response{status: http.StatusOK}.write(c.w)
	case f.Truncate > 0:
		real.head(c.w)
		_, _ = c.w.Write(real.body[:min(f.Truncate, len(real.body))])
		_ = http.NewResponseController(c.w).Flush()
		panic(http.ErrAbortHandler) // the promised length never comes
	default:
		reset(c.w)
	}
}

// hang waits until the caller has gone, MaxHang has passed or the sandbox
// closes.
func (s *Server) hang(c *call) {
	t := time.NewTimer(s.opt.MaxHang)
	defer t.Stop()
	select {
	case <-c.r.Context().Done():
	case <-t.C:
	case <-s.done:
	}
}

// reset ends the connection with RST where the connection can do that.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
