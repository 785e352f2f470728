package config_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/config"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestDefaults(t *testing.T) {
	c, err := config.Load(config.Sources{})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8420", c.Listen)
	require.Equal(t, "127.0.0.1:8422", c.OpsListen)
	require.Equal(t, "127.0.0.1:8421", c.SandboxListen)
	require.Equal(t, "./hongyan-data", c.DataDir)
	require.Equal(t, "sqlite://hongyan-data/hongyan.db", c.DatabaseURL.Reveal())
	require.Equal(t, "http://127.0.0.1:8420", c.PublicURL)
	require.Empty(t, c.LogFormat)
	require.Empty(t, c.Warnings)
}

func TestLayersBeatEachOther(t *testing.T) {
	file := write(t, "c.yaml", "listen: 127.0.0.1:1\nops_listen: 127.0.0.1:2\ndata_dir: /file\nlog_level: debug\n")
	c, err := config.Load(config.Sources{
		File:     file,
		Environ:  []string{"HONGYAN_LISTEN=127.0.0.1:11", "HONGYAN_OPS_LISTEN=off"},
		Flags:    map[string]string{"listen": "127.0.0.1:111"},
		Defaults: map[string]string{"data_dir": "./hongyan-dev", "log_format": "text"},
	})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:111", c.Listen)
	require.Equal(t, "flag --listen", c.Origin("listen"))
	require.Empty(t, c.OpsListen)
	require.Equal(t, "environment HONGYAN_OPS_LISTEN", c.Origin("ops_listen"))
	require.Equal(t, "/file", c.DataDir)
	require.Equal(t, file+":3", c.Origin("data_dir"))
	require.Equal(t, "sqlite:///file/hongyan.db", c.DatabaseURL.Reveal())
	require.Equal(t, "text", c.LogFormat)
	require.Equal(t, "default", c.Origin("log_format"))
}

func TestBadSettingsNameTheirPlace(t *testing.T) {
	master := base64.StdEncoding.EncodeToString(make([]byte, 31))
	file := write(t, "c.yaml", "listen: nonsense\nlog_leval: info\n\ndata_dir: [a]\nmaster_key: "+master+"\nlisten: :1\n")
	_, err := config.Load(config.Sources{File: file, Environ: []string{"HONGYAN_PUBLIC_URL=ftp://x"}})
	require.Error(t, err)
	for _, want := range []string{
		file + ":1: listen: must be host:port",
		file + ":2: log_leval: unknown key; did you mean log_level?",
		file + ":4: data_dir: must be a single value",
		file + ":5: master_key: must be 32 bytes in base64",
		file + ":6: listen: is given twice",
		"environment HONGYAN_PUBLIC_URL: public_url: must be http://",
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), master)
}

func TestOneDocument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	for text, want := range map[string]string{
		"":                                "",
		"# nothing\n":                     "",
		"listen: 127.0.0.1:1\n":           "",
		"---\nlisten: 127.0.0.1:1\n":      "",
		"listen: 127.0.0.1:1\n---\n":      "",
		"listen: 127.0.0.1:1\n...\n":      "",
		"listen: 127.0.0.1:1\n---\n# x\n": "",
		"listen: 127.0.0.1:1\n---\nlog_level: debug\n":      file + ":3: a second document begins here",
		"listen: 127.0.0.1:1\n---\n---\nlog_level: debug\n": file + ":4: a second document begins here",
		"listen: 127.0.0.1:1\n---\nlog_level: [\n":          file + ":3: ",
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := config.Load(config.Sources{File: file})
		if want == "" {
			require.NoError(t, err, text)
		} else {
			require.ErrorContains(t, err, want, text)
		}
	}
}

func TestBadValues(t *testing.T) {
	for _, tc := range []struct{ env, want string }{
		{"HONGYAN_LISTEN=127.0.0.1", "must be host:port"},
		{"HONGYAN_LISTEN=127.0.0.1:99999", "is not a port"},
		{"HONGYAN_DATABASE_URL=mysql://x", "must start with sqlite:// or postgres://"},
		{"HONGYAN_DATABASE_URL=sqlite://", "nothing stands after"},
		{"HONGYAN_ADMIN_KEY=hy_short", "must be hy_"},
		{"HONGYAN_EGRESS_ALLOW=10.0.0.0/99", "is not a network"},
		{"HONGYAN_REDIS_URL=http://x", "must start with redis://"},
		{"HONGYAN_LOG_LEVEL=loud", "must be debug"},
		{"HONGYAN_LOG_FORMAT=xml", "must be text or json"},
		{"HONGYAN_NODE=a b", "must be 1 to 64"},
		{"HONGYAN_MASTER_KEY=a:b\nc", "32 bytes"},
		{"HONGYAN_ADMIN_KEY_FILE=/does/not/exist", "no such file"},
		{"HONGYAN_CONFIG=/does/not/exist.yaml", "no such file"},
	} {
		_, err := config.Load(config.Sources{Environ: []string{tc.env}})
		require.ErrorContains(t, err, tc.want, tc.env)
	}
}

func TestSecretTwins(t *testing.T) {
	dir := t.TempDir()
	key := "hy_" + strings.Repeat("a", 32)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "k"), []byte(key+"\n"), 0o600))
	file := filepath.Join(dir, "c.yaml")
	require.NoError(t, os.WriteFile(file, []byte("admin_key_file: k\n"), 0o600))

	c, err := config.Load(config.Sources{File: file})
	require.NoError(t, err)
	require.Equal(t, key, c.AdminKey.Reveal(), "a relative path counts from the file")

	c, err = config.Load(config.Sources{Environ: []string{"HONGYAN_ADMIN_KEY_FILE=" + filepath.Join(dir, "k")}})
	require.NoError(t, err)
	require.Equal(t, key, c.AdminKey.Reveal())

	_, err = config.Load(config.Sources{Environ: []string{"HONGYAN_ADMIN_KEY=" + key, "HONGYAN_ADMIN_KEY_FILE=" + filepath.Join(dir, "k")}})
	require.ErrorContains(t, err, "given twice")
	require.NotContains(t, err.Error(), key)
}

func TestEverySecretHasATwin(t *testing.T) {
	path := write(t, "secret", base64.StdEncoding.EncodeToString(make([]byte, 32)))
	for _, s := range config.Settings() {
		if !s.Secret || s.Key != "master_key" && s.Key != "key" {
			continue
		}
		_, err := config.Load(config.Sources{Environ: []string{s.Env + "_FILE=" + path}})
		require.NoError(t, err, s.Key)
	}
}

func TestMasterKeyRing(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for value, ok := range map[string]bool{
		b64:                                  true,
		"k1:" + b64:                          true,
		"k2:" + b64 + "\nk1:" + b64:          true,
		"k2:" + b64 + "\n\n# old\nk1:" + b64: true,
		"k2:" + b64 + "\n" + b64:             false,
		"k 2:" + b64:                         false,
		"nonsense":                           false,
	} {
		_, err := config.Load(config.Sources{Environ: []string{"HONGYAN_MASTER_KEY=" + value}})
		require.Equal(t, ok, err == nil, value)
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString(make([]byte, 32))
	c, err := config.Load(config.Sources{Environ: []string{
		"HONGYAN_MASTER_KEY=" + b64,
		"HONGYAN_ADMIN_KEY=hy_" + strings.Repeat("s", 40),
		"HONGYAN_DATABASE_URL=postgres://hy:hunter2@db/hy?sslmode=disable",
		"HONGYAN_REDIS_URL=redis://:hunter2@redis:6379/0",
		"HONGYAN_KEY=hy_hunter2",
	}})
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, c.Print(&out))
	j, err := json.Marshal(c)
	require.NoError(t, err)
	for _, text := range []string{out.String(), string(j), fmt.Sprintf("%v %+v %#v", c, c, c)} {
		require.NotContains(t, text, b64)
		require.NotContains(t, text, "ssss")
		require.NotContains(t, text, "hunter2")
	}
	require.Contains(t, out.String(), "postgres://hy:xxxxx@db/hy?sslmode=disable")
}

func TestUnknownEnvironmentWarns(t *testing.T) {
	c, err := config.Load(config.Sources{Environ: []string{
		"HONGYAN_LISTN=:1", "HONGYAN_SERVICE_HOST=10.0.0.1", "HONGYAN_PORT_8420_TCP=x", "HOME=/",
	}})
	require.NoError(t, err)
	require.Equal(t, []string{"environment variable HONGYAN_LISTN is not known; did you mean HONGYAN_LISTEN?"}, c.Warnings)
}

func FuzzFile(f *testing.F) {
	f.Add("listen: :1\n")
	f.Add("a: &a [*a]\n")
	f.Add("egress_allow: [10.0.0.0/8, ::1]\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := write(t, "c.yaml", text)
		_, _ = config.Load(config.Sources{File: path})
	})
}

func TestBrokenYAMLNamesItsLine(t *testing.T) {
	for text, line := range map[string]string{
		"listen: a: b\n":                      ":1: mapping values",
		"listen: 127.0.0.1:1\nnode: a: b\n":   ":2: mapping values",
		"listen: @x\n":                        ":1: found character",
		"\nlisten: 127.0.0.1:1\nnode: \x01\n": ":3: control characters",
		"\nnode: \xff\n":                      ":2: invalid",
		"\n\nnode: *x\n":                      ":3: unknown anchor",
		"node: a\n---\nb: : :\n":              ":3: mapping values",
	} {
		file := write(t, "c.yaml", text)
		_, err := config.Load(config.Sources{File: file})
		require.ErrorContains(t, err, file+line, "%q", text)
	}
}
