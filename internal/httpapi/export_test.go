package httpapi

import (
	"hongyan/internal/domain"
	"hongyan/internal/i18n"
)

// Row is a route as the tests see it.
type Row struct {
	Method, Path, Scope, OrScope string
	Limit                        int64 // 0: no body
	Multipart                    bool
	Query                        []string
}

// Table lists the routes.
func Table() []Row {
	var out []Row
	for _, r := range routes() {
		row := Row{Method: r.method, Path: r.path, Scope: r.scope, OrScope: r.orScope, Multipart: r.multipart, Query: r.parameterNames()}
		if r.body != nil || r.multipart {
			row.Limit = r.limit
		}
		out = append(out, row)
	}
	return out
}

// OpenAPI gives the description as it is committed.
func OpenAPI() ([]byte, error) {
	s, err := newSpec("dev")
	return s.yaml, err
}

// FieldText gives a field error its words in a language.
func FieldText(lang string, f domain.FieldError) ProblemField {
	return fieldText(i18n.Choose(lang), f)
}
