package dispatch

import (
	"context"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// DirectorySource reads WeCom's directory with an app's token. A dead token is
// fetched anew once per call, as for messages; the app's health is left alone,
// because an app may send without being allowed to read. Safe for concurrent
// use.
type DirectorySource struct{ sender *Sender }

// NewDirectorySource makes a DirectorySource on the sender's connections and
// tokens.
func NewDirectorySource(s *Sender) *DirectorySource { return &DirectorySource{sender: s} }

// Agent reads the app itself, with its visible range.
func (d *DirectorySource) Agent(ctx context.Context, app string) (wecom.Agent, error) {
	return directoryRead(ctx, d.sender, app, func(c *wecom.Client, token string, a domain.App) (wecom.Agent, error) {
		return c.AgentGet(ctx, token, a.AgentID)
	})
}

// Departments lists what the app sees of the department tree.
func (d *DirectorySource) Departments(ctx context.Context, app string) ([]wecom.Department, error) {
	return directoryRead(ctx, d.sender, app, func(c *wecom.Client, token string, _ domain.App) ([]wecom.Department, error) {
		return c.Departments(ctx, token)
	})
}

// DepartmentMembers lists a department's own members.
func (d *DirectorySource) DepartmentMembers(ctx context.Context, app string, department int64) ([]string, error) {
	return directoryRead(ctx, d.sender, app, func(c *wecom.Client, token string, _ domain.App) ([]string, error) {
		return c.DepartmentMembers(ctx, token, department)
	})
}

// TagMembers reads who belongs to a tag.
func (d *DirectorySource) TagMembers(ctx context.Context, app string, tag int64) (wecom.Tag, error) {
	return directoryRead(ctx, d.sender, app, func(c *wecom.Client, token string, _ domain.App) (wecom.Tag, error) {
		return c.TagMembers(ctx, token, tag)
	})
}

// Chat reads who is in a group chat of the app. Of one that is blocked it says
// domain.CodeUnavailable: one call a minute tries it, and that is a message's.
func (d *DirectorySource) Chat(ctx context.Context, app, chat string) ([]string, error) {
	if d.sender.health.Of(app).State == domain.HealthBlocked {
		return nil, &domain.Error{Code: domain.CodeUnavailable}
	}
	return directoryRead(ctx, d.sender, app, func(c *wecom.Client, token string, _ domain.App) ([]string, error) {
		room, err := c.Chat(ctx, token, chat)
		return room.Users, err
	})
}

func directoryRead[T any](ctx context.Context, s *Sender, key string, read func(*wecom.Client, string, domain.App) (T, error)) (T, error) {
	var none T
	app, ok := s.cfg.Apps.App(key)
	if !ok {
		return none, domain.Errorf(domain.CodeAppNotFound, "there is no app %q", key)
	}
	client, err := s.Client(app)
	if err != nil {
		return none, &wecom.Error{Op: "directory", Class: wecom.ClassConfig, Msg: "base_url or proxy is not usable"}
	}
	for tokens := s.tokens.Of(app); ; {
		token, err := tokens.Get(ctx)
		if err != nil {
			return none, err
		}
		if v, err := read(client, token, app); !tokens.Again(err) {
			return v, err
		}
	}
}
