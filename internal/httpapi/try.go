package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"

	"hongyan/internal/domain"
)

var dryRunParameter = []parameter{{"dry_run", "true: check everything and answer 200 with what would change; store nothing", "boolean"}}

// Change is what a PUT with dry_run=true would have changed.
type Change struct {
	Result   string          `json:"result" enum:"created,updated,unchanged"`
	Secrets  []string        `json:"secrets" doc:"Names of the secrets that would change; their values are never shown"`
	Before   json.RawMessage `json:"before" doc:"What is stored, without what the server adds; null: nothing"`
	After    json.RawMessage `json:"after" doc:"What would be stored"`
	Warnings []ProblemField  `json:"warnings" doc:"As in the answer to the PUT"`
}

// dryRun reads the parameter of that name.
func (r *request) dryRun() (bool, error) {
	text := r.query.text("dry_run")
	if text == "" && !r.query.values.Has("dry_run") {
		return false, nil
	}
	dry, err := strconv.ParseBool(text)
	if err != nil || text != strconv.FormatBool(dry) {
		r.query.add("dry_run", "enum", "must be true or false", "use true, or leave it out to store", []string{"true", "false"})
		return false, r.query.err()
	}
	return dry, nil
}

func (s *Server) replyChange(w http.ResponseWriter, r *request, kind domain.ResourceKind, c domain.Change) error {
	out := Change{Result: "unchanged", Secrets: c.Secrets, Before: c.Before, After: c.After}
	switch {
	case c.Created:
		out.Result = "created"
	case c.Changed:
		out.Result = "updated"
	}
	if out.Secrets == nil {
		out.Secrets = []string{}
	}
	out.Warnings = s.warnings(r, kind, c.After)
	return reply(w, http.StatusOK, out)
}
