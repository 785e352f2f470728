package app

import (
	"context"
	"encoding/json"
	"time"

	"hongyan/internal/domain"
)

// quotaWarning tells the world that most of an app's day is used. It is called
// while a lane decides, so the event is written behind.
func (a *App) quotaWarning(app string, used, allowed int64) {
	a.metrics.QuotaWarning(app)
	data, err := json.Marshal(struct {
		App     string `json:"app"`
		Used    int64  `json:"used"`
		Allowed int64  `json:"allowed"`
	}{app, used, allowed})
	if err != nil {
		return // text and numbers always encode
	}
	a.behind.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) //nolint:forbidigo // outlives the delivery that noticed
		defer cancel()
		if err := a.store.AddEvent(ctx, domain.Event{Type: domain.EventQuota, At: time.Now(), Data: data}); err != nil {
			a.log.Warn("the warning of a quota was not stored", "app", app, "error", err)
		}
	})
}
