package httpapi

import (
	"net/http"
	"net/netip"
	"strings"

	"hongyan/internal/domain"
)

// authenticate tells who asks.
func (s *Server) authenticate(r *request) (domain.Caller, error) {
	if s.cfg.Keys == nil {
		return domain.Caller{}, errNoService
	}
	scheme, key, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return domain.Caller{}, &domain.Error{Code: domain.CodeUnauthorized}
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		remote = netip.AddrPort{} // a Unix socket: belongs to no network
	}
	return s.cfg.Keys.Authenticate(r.Context(), strings.TrimSpace(key), remote.Addr())
}

// authorize finds the caller and checks the route's scope.
func (s *Server) authorize(w http.ResponseWriter, r *request) error {
	caller, err := s.authenticate(r)
	if err != nil {
		return err
	}
	r.caller = caller
	if !r.caller.Can(r.route.scope) && (r.route.orScope == "" || !r.caller.Can(r.route.orScope)) {
		return &domain.Error{Code: domain.CodeForbidden, Args: []any{r.route.scope}, Detail: "this needs the scope " + r.route.scope}
	}
	if err := mayUseRoute(r.caller, r.route); err != nil {
		return err
	}
	return s.spend(w, r, 1)
}
