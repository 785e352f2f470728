package config

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

const (
	maxFile   = 1 << 20  // a settings file
	maxSecret = 64 << 10 // what a _FILE twin points to
)

// Sources are the layers that [Load] reads, the first one wins.
type Sources struct {
	Flags    map[string]string // key (or, for secrets, key_file) → value, only flags that were given
	Environ  []string          // as os.Environ
	File     string            // path of the YAML file; empty: none (HONGYAN_CONFIG is read from Environ)
	Defaults map[string]string // replaces documented defaults, such as another data_dir for dev
}

// Error is a bad setting. Where is "file:line", an environment variable or a
// flag.
type Error struct {
	Where string
	Key   string // empty when the whole source is bad
	Msg   string // never contains the value of a secret
}

// Error prints "where: key: message".
func (e *Error) Error() string {
	if e.Key == "" {
		return e.Where + ": " + e.Msg
	}
	return e.Where + ": " + e.Key + ": " + e.Msg
}

// candidate is a raw value and where it stands.
type candidate struct {
	value string
	where string
}

// Load reads all layers. On bad settings it returns every one of them, joined;
// each is an [*Error].
func Load(src Sources) (Config, error) {
	var bad []error
	env := map[string]string{}
	for _, kv := range src.Environ {
		if name, v, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, EnvPrefix) {
			env[name] = v
		}
	}
	if src.File == "" {
		src.File = env[EnvPrefix+"CONFIG"]
	}
	settings := Settings()
	file, err := readFile(src.File, settings)
	if err != nil {
		bad = append(bad, err)
	}

	c := Config{origins: map[string]string{}}
	for _, s := range settings {
		got, err := pick(s, src, env, file)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		if got == nil {
			continue
		}
		if err := s.parse(&c, got.value); err != nil {
			bad = append(bad, &Error{Where: got.where, Key: s.Key, Msg: err.Error()})
			continue
		}
		c.origins[s.Key] = got.where
	}
	if len(bad) > 0 {
		return Config{}, errors.Join(bad...)
	}
	c.derive()
	c.Warnings = unknownEnv(env, settings)
	return c, nil
}

// pick finds the value of one setting in the first layer that has it.
func pick(s Setting, src Sources, env map[string]string, file map[string]candidate) (*candidate, error) {
	if got, err := twin(s, s.Key, func(name string) (candidate, bool) {
		v, ok := src.Flags[name]
		return candidate{v, "flag --" + strings.ReplaceAll(name, "_", "-")}, ok
	}, "_file"); got != nil || err != nil {
		return got, err
	}
	if got, err := twin(s, s.Env, func(name string) (candidate, bool) {
		v := env[name] // an empty variable counts as not set
		return candidate{v, "environment " + name}, v != ""
	}, "_FILE"); got != nil || err != nil {
		return got, err
	}
	if got, err := twin(s, s.Key, func(name string) (candidate, bool) {
		v, ok := file[name]
		return v, ok
	}, "_file"); got != nil || err != nil {
		return got, err
	}
	if v, ok := src.Defaults[s.Key]; ok {
		return &candidate{v, "default"}, nil
	}
	if s.Default == "" || strings.Contains(s.Default, "<") { // derived ones come later
		return nil, nil
	}
	return &candidate{s.Default, "default"}, nil
}

// twin resolves a name and, for secrets, its file twin within one layer.
func twin(s Setting, name string, get func(string) (candidate, bool), suffix string) (*candidate, error) {
	v, ok := get(name)
	if !s.Secret {
		if ok {
			return &v, nil
		}
		return nil, nil
	}
	f, fok := get(name + suffix)
	switch {
	case ok && fok:
		return nil, &Error{Where: f.where, Key: s.Key, Msg: "is given twice: as a value and as a file; keep one"}
	case ok:
		return &v, nil
	case !fok:
		return nil, nil
	}
	text, err := readBounded(f.value, maxSecret)
	if err != nil {
		return nil, &Error{Where: f.where, Key: s.Key, Msg: err.Error()}
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, &Error{Where: f.where, Key: s.Key, Msg: f.value + " is empty"}
	}
	return &candidate{text, f.where + " (" + f.value + ")"}, nil
}

// readFile reads the YAML file into flat keys, refusing what it does not know.
func readFile(path string, settings []Setting) (map[string]candidate, error) {
	out := map[string]candidate{}
	if path == "" {
		return out, nil
	}
	text, err := readBounded(path, maxFile)
	if err != nil {
		return out, &Error{Where: path, Msg: err.Error()}
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(text))
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return out, badYAML(path, text, err)
	}
	for {
		var more yaml.Node
		err := dec.Decode(&more)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return out, badYAML(path, text, err)
		}
		if len(more.Content) > 0 && more.Content[0].Tag != "!!null" { // nothing is lost behind a last ---
			return out, &Error{Where: at(path, more.Content[0]), Msg: "a second document begins here; all settings belong into one"}
		}
	}
	if len(doc.Content) == 0 {
		return out, nil // an empty file is fine
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return out, &Error{Where: at(path, root), Msg: "must be a list of key: value"}
	}
	var known []string
	for _, s := range settings {
		known = append(known, s.Key)
		if s.Secret {
			known = append(known, s.Key+"_file")
		}
	}
	var bad []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		k, v := root.Content[i], root.Content[i+1]
		where := at(path, k)
		if !slices.Contains(known, k.Value) {
			msg := "unknown key"
			if n := nearest(k.Value, known); n != "" {
				msg += "; did you mean " + n + "?"
			}
			bad = append(bad, &Error{Where: where, Key: k.Value, Msg: msg})
			continue
		}
		if _, twice := out[k.Value]; twice {
			bad = append(bad, &Error{Where: where, Key: k.Value, Msg: "is given twice"})
			continue
		}
		value, err := scalar(k.Value, v)
		if err != nil {
			bad = append(bad, &Error{Where: at(path, v), Key: k.Value, Msg: err.Error()})
			continue
		}
		if v.Tag == "!!null" {
			continue
		}
		if strings.HasSuffix(k.Value, "_file") && !filepath.IsAbs(value) {
			value = filepath.Join(filepath.Dir(path), value)
		}
		out[k.Value] = candidate{value, where}
	}
	return out, errors.Join(bad...)
}

func scalar(key string, n *yaml.Node) (string, error) {
	switch {
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	case n.Kind == yaml.SequenceNode && key == "egress_allow":
		parts := make([]string, 0, len(n.Content))
		for _, e := range n.Content {
			if e.Kind != yaml.ScalarNode {
				return "", errors.New("must be a list of networks")
			}
			parts = append(parts, e.Value)
		}
		return strings.Join(parts, ","), nil
	default:
		return "", errors.New("must be a single value")
	}
}

// badYAML says where a text stops being YAML. The library names no line when it
// is the first, nor for what is wrong with a character or an alias.
func badYAML(path, text string, err error) *Error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(msg, "line "); ok {
		if line, problem, ok := strings.Cut(rest, ": "); ok {
			return &Error{Where: path + ":" + line, Msg: problem}
		}
	}
	before := 0
	if _, name, ok := strings.Cut(msg, "unknown anchor '"); ok {
		before = strings.Index(text, "*"+strings.TrimSuffix(name, "' referenced"))
	} else {
		for i, r := range text {
			if r == utf8.RuneError || r < ' ' && !strings.ContainsRune("\t\n\r", r) {
				before = i
				break
			}
		}
	}
	return &Error{Where: fmt.Sprintf("%s:%d", path, 1+strings.Count(text[:max(before, 0)], "\n")), Msg: msg}
}

func at(path string, n *yaml.Node) string { return fmt.Sprintf("%s:%d", path, n.Line) }

func readBounded(path string, limit int64) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", err
	}
	if int64(len(b)) > limit {
		return "", fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return string(b), nil
}

// derive fills the defaults that follow from other settings.
func (c *Config) derive() {
	if !c.DatabaseURL.Set() {
		c.DatabaseURL = Secret("sqlite://" + filepath.Join(c.DataDir, "hongyan.db"))
	}
	if c.PublicURL == "" {
		c.PublicURL = "http://" + reachable(c.Listen)
	}
}

// reachable turns a listen address into one that a link can use.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// unknownEnv warns about variables with our prefix that nothing reads. It is
// no error, because orchestrators put such names (HONGYAN_SERVICE_HOST) into
// every container beside a service called hongyan.
func unknownEnv(env map[string]string, settings []Setting) []string {
	known := []string{EnvPrefix + "CONFIG"}
	for _, s := range settings {
		known = append(known, s.Env)
		if s.Secret {
			known = append(known, s.Env+"_FILE")
		}
	}
	var out []string
	for name := range env {
		if slices.Contains(known, name) || strings.HasPrefix(name, EnvPrefix+"SERVICE_") || strings.HasPrefix(name, EnvPrefix+"PORT") {
			continue
		}
		msg := "environment variable " + name + " is not known"
		if n := nearest(name, known); n != "" {
			msg += "; did you mean " + n + "?"
		}
		out = append(out, msg)
	}
	slices.Sort(out)
	return out
}

// nearest returns the known name within two edits, or "".
func nearest(name string, known []string) string {
	best, bestAt := "", 3
	for _, k := range known {
		if d := edits(name, k); d < bestAt {
			best, bestAt = k, d
		}
	}
	return best
}

// edits is the Levenshtein distance; names are short.
func edits(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := prev
			if a[i] != b[j] {
				cost++
			}
			prev = row[j+1]
			row[j+1] = min(row[j]+1, row[j+1]+1, cost)
		}
	}
	return row[len(b)]
}
