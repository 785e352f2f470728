package httpapi

import (
	"net/http"
	"time"

	"hongyan/internal/domain"
)

type keyRequest struct {
	Name      string   `json:"name" doc:"Who uses it"`
	Scopes    []string `json:"scopes" doc:"send, read, operate, configure, admin"`
	Scenes    []string `json:"scenes,omitempty" doc:"Only these; empty: all"`
	Apps      []string `json:"apps,omitempty" doc:"Only these; empty: all"`
	Networks  []string `json:"networks,omitempty" doc:"Only from these, such as 10.0.0.0/8; empty: any"`
	ExpiresAt *string  `json:"expires_at,omitempty" doc:"RFC 3339 time; null: never"`
	App       *string  `json:"app,omitempty" doc:"Binds it to an app as a credential of WeCom's own API"`
	Rate      *KeyRate `json:"rate,omitempty" doc:"How much it may ask for; null: no limit"`
}

// KeyRate bounds what a key may ask for.
type KeyRate struct {
	PerMinute int `json:"per_minute" doc:"Requests in a minute, and at once; a batch counts its messages"`
}

var keyShape = shapeFor[keyRequest]()

// Key is an API key without what it opens.
type Key struct {
	ID         string     `json:"id"`
	Key        string     `json:"key,omitempty" doc:"The key itself, in this answer only"`
	Name       string     `json:"name"`
	Prefix     string     `json:"prefix" doc:"Its first characters, to recognise it"`
	Scopes     []string   `json:"scopes"`
	Scenes     []string   `json:"scenes"`
	Apps       []string   `json:"apps"`
	Networks   []string   `json:"networks"`
	App        *string    `json:"app"`
	Rate       *KeyRate   `json:"rate"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	RevokedAt  *time.Time `json:"revoked_at"`

	Warnings []ProblemField `json:"warnings,omitempty" doc:"Which of its scenes and apps do not exist, in this answer only"`
}

func keyView(k domain.APIKey) Key {
	list := func(l []string) []string {
		if l == nil {
			return []string{}
		}
		return l
	}
	var rate *KeyRate
	if k.PerMinute > 0 {
		rate = &KeyRate{PerMinute: k.PerMinute}
	}
	return Key{
		Rate: rate,
		ID:   k.ID, Name: k.Name, Prefix: k.Prefix, Scopes: list(k.Scopes), Scenes: list(k.Scenes), Apps: list(k.Apps),
		Networks: list(k.Networks), App: orNil(k.App), CreatedAt: k.CreatedAt.UTC(), ExpiresAt: timeOrNil(k.ExpiresAt),
		LastUsedAt: timeOrNil(k.LastUsedAt), RevokedAt: timeOrNil(k.RevokedAt),
	}
}

func createKey(s *Server, w http.ResponseWriter, r *request) error {
	var req keyRequest
	if err := s.decode(w, r, keyShape, false, &req); err != nil {
		return err
	}
	k := domain.APIKey{Name: req.Name, Scopes: req.Scopes, Scenes: req.Scenes, Apps: req.Apps, Networks: req.Networks}
	if req.App != nil {
		k.App = *req.App
	}
	if req.Rate != nil {
		if k.PerMinute = req.Rate.PerMinute; k.PerMinute == 0 {
			return domain.Invalid(domain.FieldError{Pointer: "/rate/per_minute", Code: "required", Message: "is missing or 0", Fix: "give the number of requests a minute, or leave rate out"})
		}
	}
	if req.ExpiresAt != nil {
		t, err := time.Parse(time.RFC3339, *req.ExpiresAt)
		if err != nil {
			return domain.Invalid(domain.FieldError{Pointer: "/expires_at", Code: "time", Message: "is not an RFC 3339 time with a zone", Fix: "write it like 2026-11-24T09:00:00+08:00"})
		}
		k.ExpiresAt = t
	}
	if err := mayGrant(r.caller, k); err != nil {
		return err
	}
	stored, clear, err := s.cfg.Keys.Create(r.Context(), k)
	if err != nil {
		return err
	}
	v := keyView(stored)
	v.Key, v.Warnings = clear, s.keyWarnings(r, stored)
	w.Header().Set("Location", "/v1/keys/"+stored.ID)
	return reply(w, http.StatusCreated, v)
}

func listKeys(s *Server, w http.ResponseWriter, r *request) error {
	q := &r.query
	limit, after := q.limit(), q.after("keys")
	if err := q.err(); err != nil {
		return err
	}
	all, err := s.cfg.Keys.List(r.Context())
	if err != nil {
		return err
	}
	items, next := []Key{}, ""
	for _, k := range all {
		if k.ID <= after || !seesKey(r.caller, k) {
			continue
		}
		if len(items) == limit {
			next = mark("keys", items[limit-1].ID)
			break
		}
		items = append(items, keyView(k))
	}
	return reply(w, http.StatusOK, page(items, next))
}

func getKey(s *Server, w http.ResponseWriter, r *request) error {
	all, err := s.cfg.Keys.List(r.Context())
	if err != nil {
		return err
	}
	for _, k := range all {
		if k.ID == r.PathValue("id") && seesKey(r.caller, k) {
			return reply(w, http.StatusOK, keyView(k))
		}
	}
	return &domain.Error{Code: domain.CodeNotFound}
}

func revokeKey(s *Server, w http.ResponseWriter, r *request) error {
	id := r.PathValue("id")
	if !domain.ValidID(domain.PrefixKey, id) {
		return &domain.Error{Code: domain.CodeNotFound}
	}
	if r.caller.Limited() || len(r.caller.Networks) > 0 {
		all, err := s.cfg.Keys.List(r.Context())
		if err != nil {
			return err
		}
		for _, k := range all {
			if k.ID == id {
				if !seesKey(r.caller, k) {
					return &domain.Error{Code: domain.CodeNotFound}
				}
				if err := mayGrant(r.caller, k); err != nil {
					return err
				}
			}
		}
	}
	if err := s.cfg.Keys.Revoke(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
