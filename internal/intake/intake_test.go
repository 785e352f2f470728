package intake_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/intake"
	"hongyan/internal/plan"
	"hongyan/internal/scene"
	"hongyan/internal/store"
	"hongyan/internal/store/storetest"
)

// apps is the configuration of a small installation.
type apps map[string]domain.App

func (a apps) App(key string) (domain.App, bool) {
	app, ok := a[key]
	return app, ok
}

func (a apps) Apps() (all []domain.App) {
	for _, app := range a {
		all = append(all, app)
	}
	return all
}

// nobody stands for audiences and scenes that do not exist.
type nobody struct{}

func (nobody) Robot(string) (domain.Robot, bool)       { return domain.Robot{}, false }
func (nobody) Audience(string) (domain.Audience, bool) { return domain.Audience{}, false }
func (nobody) Scene(string) (domain.Scene, int, bool)  { return domain.Scene{}, 0, false }
func (nobody) SceneByCode(code int) (domain.Scene, int, bool) {
	switch code {
	case 0:
		return domain.Scene{Key: "of-code", App: "ops", Code: &code}, 1, true
	case 1:
		return domain.Scene{Key: "theirs", App: "theirs", Code: &code, Content: json.RawMessage(`{"type":"text","text":{"content":"x"}}`)}, 1, true
	}
	return domain.Scene{}, 0, false
}

// parked are lanes that send nothing: what is accepted stays in the store.
type parked struct{}

func (parked) Reserve(*domain.Delivery) bool            { return false }
func (parked) Release(*domain.Delivery, bool)           {}
func (parked) Begin(*domain.Delivery)                   {}
func (parked) Offer(context.Context, []domain.Delivery) {}
func (parked) Forget(string, ...string)                 {}
func (parked) Foresee(d *domain.Delivery) []domain.Foreseen {
	return []domain.Foreseen{{Delivery: d}}
}

// offline is a network without a way out.
type offline struct{}

func (offline) Get(context.Context, string, int64) ([]byte, string, string, error) {
	return nil, "", "", errors.New("offline")
}

var anybody = domain.Caller{KeyID: "key_1", Scopes: []string{domain.ScopeAdmin}}

func newIntake(t *testing.T) (*intake.Intake, *store.Store) {
	t.Helper()
	s := storetest.SQLite(t)(t, "n1")
	ids := &domain.IDs{}
	return intake.New(intake.Config{
		Store: s, Lanes: parked{}, Apps: apps{"ops": {Key: "ops", CorpID: "ww1", AgentID: 1000002}},
		Scenes: scene.New(nobody{}), Planner: plan.New(nobody{}, ids), Fetch: offline{}, IDs: ids,
	}), s
}

// A key that is limited to an app does not see the scenes of others, and so
// must not render one by sending it through its own app.
func TestScenesOfOtherAppsAreNotUsed(t *testing.T) {
	in, _ := newIntake(t)
	req := domain.SendRequest{Scene: &domain.SceneRef{Code: 1}, App: "ops", To: domain.To{Users: []string{"u"}}}
	_, err := in.DryRun(t.Context(), domain.Caller{Scopes: []string{domain.ScopeSend}}, req)
	require.NoError(t, err)
	_, err = in.DryRun(t.Context(), domain.Caller{Scopes: []string{domain.ScopeSend}, Apps: []string{"ops"}}, req)
	require.Equal(t, domain.CodeForbidden, domain.CodeOf(err), "%v", err)
}

// wrong lists pointer and rule of what was refused.
func wrong(t *testing.T, err error) (out []string) {
	t.Helper()
	require.Equal(t, domain.CodeInvalid, domain.CodeOf(err), "%v", err)
	e, _ := errors.AsType[*domain.Error](err)
	for _, f := range e.Fields {
		out = append(out, f.Pointer+" "+f.Code)
	}
	return out
}
