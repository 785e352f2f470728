package cli

import (
	"os"
)

// serverFlags are the settings that servers take as flags. Secrets are files.
type serverFlags struct {
	Listen          string `placeholder:"HOST:PORT" help:"Address of API, console and callbacks."`
	OpsListen       string `placeholder:"HOST:PORT" help:"Address of /metrics and /debug/pprof; off disables."`
	SandboxListen   string `placeholder:"HOST:PORT" help:"Address of the sandbox (dev and sandbox only)."`
	Data            string `aliases:"data-dir" placeholder:"DIR" help:"Data directory."`
	PublicURL       string `placeholder:"URL" help:"How others reach this gateway."`
	EgressAllow     string `placeholder:"CIDR,…" help:"Private networks that webhooks and media downloads may reach."`
	LogLevel        string `placeholder:"LEVEL" help:"debug, info, warn or error."`
	LogFormat       string `placeholder:"FORMAT" help:"text or json."`
	Node            string `placeholder:"NAME" help:"Name of this process among others on one database."`
	DatabaseURLFile string `name:"database-url-file" placeholder:"FILE" help:"File with the database URL."`
	RedisURLFile    string `name:"redis-url-file" placeholder:"FILE" help:"File with the Redis URL."`
	MasterKeyFile   string `placeholder:"FILE" help:"File with the key that seals secrets."`
	AdminKeyFile    string `placeholder:"FILE" help:"File with the first admin key."`
}

func (f serverFlags) values() map[string]string {
	return map[string]string{
		"listen": f.Listen, "ops_listen": f.OpsListen, "sandbox_listen": f.SandboxListen, "data_dir": f.Data,
		"public_url": f.PublicURL, "egress_allow": f.EgressAllow, "log_level": f.LogLevel, "log_format": f.LogFormat,
		"node": f.Node, "database_url_file": f.DatabaseURLFile, "redis_url_file": f.RedisURLFile,
		"master_key_file": f.MasterKeyFile, "admin_key_file": f.AdminKeyFile,
	}
}

func devDefaults() map[string]string { return map[string]string{"data_dir": "./hongyan-dev"} }

type devCmd struct {
	serverFlags
	Fresh bool `help:"Forget what earlier runs left."`
}

// Run starts gateway and sandbox until the context ends.
func (c *devCmd) Run(s *session) error {
	cfg, err := s.settings(c.values(), devDefaults())
	if err != nil {
		return err
	}
	if s.deps.Dev == nil {
		return errNotBuilt
	}
	return s.deps.Dev(s.ctx, cfg, c.Fresh, s.out, s.err)
}

type serveCmd struct{ serverFlags }

// Run starts the server until the context ends.
func (c *serveCmd) Run(s *session) error {
	cfg, err := s.settings(c.values(), nil)
	if err != nil {
		return err
	}
	if s.deps.Serve == nil {
		return errNotBuilt
	}
	return s.deps.Serve(s.ctx, cfg, s.out, s.err)
}

type sandboxCmd struct{ serverFlags }

// Run starts the sandbox until the context ends.
func (c *sandboxCmd) Run(s *session) error {
	cfg, err := s.settings(c.values(), devDefaults())
	if err != nil {
		return err
	}
	if s.deps.Sandbox == nil {
		return errNotBuilt
	}
	return s.deps.Sandbox(s.ctx, cfg, s.out)
}

var errNotBuilt = failf("this build has no server in it")

type confCmd struct {
	Check confCheckCmd `cmd:"" help:"Check the settings without starting anything."`
	Print confPrintCmd `cmd:"" help:"Print the effective settings and where each came from, secrets masked."`
}

type confCheckCmd struct{ serverFlags }

// Run loads the settings and says that they are good.
func (c *confCheckCmd) Run(s *session) error {
	cfg, err := s.settings(c.values(), nil)
	if err != nil {
		return err
	}
	if s.root.JSON {
		return s.printJSON(map[string]any{"ok": true, "warnings": append([]string{}, cfg.Warnings...)})
	}
	s.notef("The settings are good.")
	return nil
}

type confPrintCmd struct{ serverFlags }

// Run prints every setting.
func (c *confPrintCmd) Run(s *session) error {
	cfg, err := s.settings(c.values(), nil)
	if err != nil {
		return err
	}
	if s.root.JSON {
		return s.printJSON(cfg.Values())
	}
	return cfg.Print(s.out)
}

// readArg reads "-" from standard input and anything else from a file, with a
// bound.
func (s *session) readArg(path string) ([]byte, error) {
	const limit = 32 << 20
	if path == "-" {
		return readBounded(s.in, limit, "standard input")
	}
	f, err := os.Open(path) //nolint:gosec // the person names the file
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f, limit, path)
}
