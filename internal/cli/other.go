package cli

import (
	"runtime"
	"runtime/debug"
)

type errcodeCmd struct {
	Code int `arg:"" help:"The errcode."`
}

// Run explains the errcode without asking anybody.
func (c *errcodeCmd) Run(s *session) error {
	if s.deps.Errcode == nil {
		return errNotBuilt
	}
	e, ok := s.deps.Errcode(c.Code, s.zh())
	if !ok {
		return failf("this errcode is not documented; WeCom's own lookup: https://open.work.weixin.qq.com/devtool/query")
	}
	if s.root.JSON {
		return s.printJSON(e)
	}
	labels := []string{"meaning", "whose fault", "what to do"}
	if s.zh() {
		labels = []string{"含义", "谁的问题", "怎么办"}
	}
	if err := s.printf("%d %s (%s)\n", e.Code, e.Name, e.Class); err != nil {
		return err
	}
	for i, text := range []string{e.Meaning, e.Fault, e.Fix} {
		if text == "" {
			continue
		}
		if err := s.printf("%s: %s\n", labels[i], text); err != nil {
			return err
		}
	}
	return nil
}

type versionCmd struct{}

// Build says what was built.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// ReadBuild reads what the Go toolchain stamped into this binary.
func ReadBuild() Build {
	b := Build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = firstOf(info.Main.Version, b.Version)
	for _, kv := range info.Settings {
		switch kv.Key {
		case "vcs.revision":
			b.Revision = kv.Value
		case "vcs.time":
			b.Time = kv.Value
		case "vcs.modified":
			b.Modified = kv.Value == "true"
		}
	}
	return b
}

// Run prints the version.
func (c *versionCmd) Run(s *session) error {
	b := ReadBuild()
	if s.root.JSON {
		return s.printJSON(b)
	}
	line := "hongyan " + b.Version
	if b.Revision != "" {
		line += " " + b.Revision
	}
	return s.printf("%s %s %s\n", line, b.Go, b.Platform)
}
