package cli

import (
	"encoding/json"
)

type appDirectoryCmd struct {
	keyArg
	Refresh bool `help:"Read it from WeCom now."`
}

// Run shows the directory's state; it fails when the last reading failed.
func (c *appDirectoryCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	read := api.AppDirectory
	if c.Refresh {
		read = api.RefreshAppDirectory
	}
	raw, err := read(s.ctx, c.Key)
	if err != nil {
		return err
	}
	var v struct {
		State         string `json:"state"`
		Members       int    `json:"members"`
		Departments   int    `json:"departments"`
		Tags          int    `json:"tags"`
		FetchedAt     string `json:"fetched_at"`
		NextRefreshAt string `json:"next_refresh_at"`
		Refreshing    bool   `json:"refreshing"`
		Error         *struct {
			Message string `json:"message"`
			Fix     string `json:"fix"`
			SeenIP  string `json:"seen_ip"`
		} `json:"error"`
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return errorf("read the gateway's answer: %w", err)
	}
	if s.root.JSON {
		if err := s.printJSON(raw); err != nil {
			return err
		}
	} else {
		if err := s.printf("%s %s: %d members, %d departments, %d tags\n", c.Key, clean(v.State), v.Members, v.Departments, v.Tags); err != nil {
			return err
		}
		if v.FetchedAt != "" {
			s.notef("  read %s, next %s", shortTime(v.FetchedAt), firstOf(shortTime(v.NextRefreshAt), s.word("when somebody needs it")))
		}
		if v.Refreshing {
			s.notef("  being read now")
		}
		if v.Error != nil {
			s.notef("  %s", clean(v.Error.Message))
			if v.Error.SeenIP != "" {
				s.notef("  WeCom saw the address %s", clean(v.Error.SeenIP))
			}
			s.notef("  fix: %s", clean(v.Error.Fix))
		}
	}
	if v.Error != nil {
		return exitError{code: ExitFailure}
	}
	return nil
}
