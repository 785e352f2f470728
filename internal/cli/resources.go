package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"hongyan/client"
)

type keyArg struct {
	Key string `arg:"" help:"Its key."`
}

type deleteArg struct {
	Key string `arg:"" help:"Its key."`
	Yes bool   `short:"y" help:"Do not ask."`
}

// listResources prints a collection; columns are JSON fields.
func (s *session) listResources(kind string, columns ...string) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	items, err := api.ListResources(s.ctx, kind)
	if err != nil {
		return err
	}
	if s.root.JSON {
		return s.printJSON(map[string]any{"items": append([]json.RawMessage{}, items...)})
	}
	head := make([]string, len(columns))
	for i, c := range columns {
		head[i] = strings.ToUpper(strings.ReplaceAll(c, "_", " "))
	}
	rows := make([][]string, len(items))
	for i, raw := range items {
		var v map[string]any
		if err := json.Unmarshal(raw, &v); err != nil {
			return errorf("read the gateway's answer: %w", err)
		}
		for _, c := range columns {
			rows[i] = append(rows[i], cell(v[c]))
		}
	}
	return s.table(head, rows)
}

// cell shows a JSON value in one table cell.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		return firstOf(v, "-")
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = cell(e)
		}
		return firstOf(strings.Join(parts, ","), "-")
	case map[string]any: // health: its state and cause
		return strings.TrimSuffix(cell(v["state"])+" "+strings.TrimPrefix(cell(v["cause"]), "-"), " ")
	default:
		return fmt.Sprint(v)
	}
}

func (s *session) getResource(kind, key string) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	r, err := api.Resource(s.ctx, kind, key)
	if err != nil {
		return err
	}
	if s.root.JSON {
		return s.printJSON(r.Body)
	}
	text, err := toYAML(r.Body)
	if err != nil {
		return err
	}
	return s.printf("%s", text)
}

func (s *session) deleteResource(kind string, c deleteArg) error {
	if err := s.confirm(c.Yes, "Delete %s/%s?", kind, c.Key); err != nil {
		return err
	}
	api, err := s.api()
	if err != nil {
		return err
	}
	if err := api.DeleteResource(s.ctx, kind, c.Key); err != nil {
		return err
	}
	return s.acted(nil, nil, c.Key+" deleted")
}

type appCmd struct {
	List      appListCmd      `cmd:"" help:"List the apps and their health."`
	Get       appGetCmd       `cmd:"" help:"Show one app."`
	Test      appTestCmd      `cmd:"" help:"Probe an app's credentials at WeCom."`
	Pause     appPauseCmd     `cmd:"" help:"Stop sending through an app; messages wait."`
	Resume    appResumeCmd    `cmd:"" help:"Send again at once."`
	Directory appDirectoryCmd `cmd:"" help:"Show what is known of who is in the app's departments and tags."`
	Delete    appDeleteCmd    `cmd:"" help:"Delete an app."`
}

type (
	appListCmd   struct{}
	appGetCmd    struct{ keyArg }
	appTestCmd   struct{ keyArg }
	appPauseCmd  struct{ keyArg }
	appResumeCmd struct{ keyArg }
	appDeleteCmd struct{ deleteArg }
)

// Run lists the apps.
func (c *appListCmd) Run(s *session) error {
	return s.listResources("apps", "key", "name", "corp_id", "agent_id", "health")
}

// Run shows one app.
func (c *appGetCmd) Run(s *session) error { return s.getResource("apps", c.Key) }

// Run probes the app and fails when it is not ok.
func (c *appTestCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	raw, err := api.TestApp(s.ctx, c.Key)
	if err != nil {
		return err
	}
	var v struct {
		OK     *bool `json:"ok"`
		Health struct {
			State, Cause, Fix string
			Errcode           int
			SeenIP            string `json:"seen_ip"`
		} `json:"health"`
		Errcode int    `json:"errcode"`
		Errmsg  string `json:"errmsg"`
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return errorf("read the gateway's answer: %w", err)
	}
	state := firstOf(v.Health.State, "ok")
	if s.root.JSON {
		if err := s.printJSON(raw); err != nil {
			return err
		}
	} else {
		if err := s.printf("%s %s\n", c.Key, clean(strings.TrimSpace(state+" "+v.Health.Cause))); err != nil {
			return err
		}
		if v.Errcode != 0 {
			s.notef("  WeCom answered errcode %d %s", v.Errcode, clean(v.Errmsg))
		}
		if v.Health.SeenIP != "" {
			s.notef("  WeCom saw the address %s", clean(v.Health.SeenIP))
		}
		if v.Health.Fix != "" {
			s.notef("  fix: %s", clean(v.Health.Fix))
		}
	}
	if state == "blocked" || v.OK != nil && !*v.OK {
		return exitError{code: ExitFailure}
	}
	return nil
}

// Run pauses the app.
func (c *appPauseCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	raw, err := api.PauseApp(s.ctx, c.Key)
	return s.acted(raw, err, "paused")
}

// Run resumes the app.
func (c *appResumeCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	raw, err := api.ResumeApp(s.ctx, c.Key)
	return s.acted(raw, err, "resumed")
}

// Run deletes the app.
func (c *appDeleteCmd) Run(s *session) error { return s.deleteResource("apps", c.deleteArg) }

type sceneCmd struct {
	List     sceneListCmd     `cmd:"" help:"List the scenes."`
	Get      sceneGetCmd      `cmd:"" help:"Show one scene."`
	Versions sceneVersionsCmd `cmd:"" help:"List a scene's versions."`
	Rollback sceneRollbackCmd `cmd:"" help:"Make an old version live again, as a new one."`
	Preview  scenePreviewCmd  `cmd:"" help:"Render a scene without sending."`
	Delete   sceneDeleteCmd   `cmd:"" help:"Delete a scene."`
}

type (
	sceneListCmd     struct{}
	sceneGetCmd      struct{ keyArg }
	sceneVersionsCmd struct{ keyArg }
	sceneDeleteCmd   struct{ deleteArg }
)

// Run lists the scenes.
func (c *sceneListCmd) Run(s *session) error {
	return s.listResources("scenes", "key", "code", "title", "app", "version")
}

// Run shows one scene.
func (c *sceneGetCmd) Run(s *session) error { return s.getResource("scenes", c.Key) }

// Run deletes the scene.
func (c *sceneDeleteCmd) Run(s *session) error { return s.deleteResource("scenes", c.deleteArg) }

// Run lists the versions.
func (c *sceneVersionsCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	versions, err := api.SceneVersions(s.ctx, c.Key)
	if err != nil {
		return err
	}
	if s.root.JSON {
		return s.printJSON(map[string]any{"items": append([]client.SceneVersion{}, versions...)})
	}
	rows := make([][]string, len(versions))
	for i, v := range versions {
		live := ""
		if v.Live {
			live = "live"
		}
		rows[i] = []string{strconv.Itoa(v.Version), live, shortTime(v.CreatedAt), v.By, v.Reason}
	}
	return s.table([]string{"VERSION", "LIVE", "CREATED", "BY", "REASON"}, rows)
}

type sceneRollbackCmd struct {
	Key     string `arg:"" help:"Its key."`
	Version int    `arg:"" help:"The version to go back to."`
}

// Run rolls back.
func (c *sceneRollbackCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	raw, err := api.RollbackScene(s.ctx, c.Key, c.Version)
	return s.acted(raw, err, fmt.Sprintf("equals version %d again", c.Version))
}

type scenePreviewCmd struct {
	Key     string   `arg:"" help:"Its key."`
	Data    []string `short:"d" sep:"none" placeholder:"K=V" help:"Variable: k=v, k:=json, @FILE or @-. Repeatable."`
	Version int      `placeholder:"N" help:"An old version instead of the live one."`
	Draft   string   `placeholder:"FILE" help:"A scene in a YAML file instead of the live one."`
}

// Run renders.
func (c *scenePreviewCmd) Run(s *session) error {
	data, err := s.data(c.Data)
	if err != nil {
		return err
	}
	if data == nil {
		data = map[string]any{}
	}
	var draft json.RawMessage
	if c.Draft != "" {
		docs, err := readDocuments([]string{c.Draft}, s.readArg, s.getenv)
		if err != nil {
			return err
		}
		for _, d := range docs {
			if d.kind == "Scene" && d.key == c.Key {
				draft = d.body
			}
		}
		if draft == nil {
			return usagef("%s has no scene %s", c.Draft, c.Key)
		}
	}
	api, err := s.api()
	if err != nil {
		return err
	}
	plan, err := api.PreviewScene(s.ctx, c.Key, data, c.Version, draft)
	if err != nil {
		return err
	}
	return s.printPlan(plan)
}

type audCmd struct {
	List   audListCmd   `cmd:"" help:"List the audiences."`
	Get    audGetCmd    `cmd:"" help:"Show one audience."`
	Delete audDeleteCmd `cmd:"" help:"Delete an audience."`
}

type (
	audListCmd   struct{}
	audGetCmd    struct{ keyArg }
	audDeleteCmd struct{ deleteArg }
)

// Run lists the audiences.
func (c *audListCmd) Run(s *session) error {
	return s.listResources("audiences", "key", "name", "users", "departments", "tags", "audiences")
}

// Run shows one audience.
func (c *audGetCmd) Run(s *session) error { return s.getResource("audiences", c.Key) }

// Run deletes the audience.
func (c *audDeleteCmd) Run(s *session) error { return s.deleteResource("audiences", c.deleteArg) }

type robotCmd struct {
	List   robotListCmd   `cmd:"" help:"List the robots."`
	Get    robotGetCmd    `cmd:"" help:"Show one robot."`
	Delete robotDeleteCmd `cmd:"" help:"Delete a robot."`
}

type (
	robotListCmd   struct{}
	robotGetCmd    struct{ keyArg }
	robotDeleteCmd struct{ deleteArg }
)

// Run lists the robots.
func (c *robotListCmd) Run(s *session) error {
	return s.listResources("robots", "key", "name", "base_url")
}

// Run shows one robot.
func (c *robotGetCmd) Run(s *session) error { return s.getResource("robots", c.Key) }

// Run deletes the robot.
func (c *robotDeleteCmd) Run(s *session) error { return s.deleteResource("robots", c.deleteArg) }
