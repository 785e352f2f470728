package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"hongyan/internal/domain"
)

// Bounds of resources.
const (
	maxName     = 200    // bytes of a name
	maxList     = 10_000 // entries of one list of an audience
	maxAddress  = 64     // bytes of a member, department or tag id
	maxAccounts = 10_000_000
	maxSecret   = 4096

	maxRobotRate = 10_000 // messages a minute

	// secretWebhookKey names the key of a robot in domain.Resource.Secrets.
	secretWebhookKey = "webhook_key"
)

var keyPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// ValidKey reports whether s may be the key of a resource.
func ValidKey(s string) bool { return keyPattern.MatchString(s) }

func bad(pointer, code, message, fix string, args ...any) domain.FieldError {
	return domain.FieldError{Pointer: pointer, Code: code, Args: args, Message: message, Fix: fix}
}

func badKey() domain.FieldError {
	return bad("/key", "key", "is not a usable key", "use 1 to 64 of a–z, 0–9, dot, hyphen and underscore, beginning with a letter or digit")
}

func codeTaken(code int, by string) domain.FieldError {
	return bad("/code", "conflict", fmt.Sprintf("code %d is taken by %s", code, by), "choose another code")
}

// validate returns the spec in its stored form. secrets are what will be set
// after the write.
func (c *Catalog) validate(r domain.Resource, secrets map[string]string) (json.RawMessage, []domain.FieldError) {
	var errs []domain.FieldError
	if !ValidKey(r.Key) {
		errs = append(errs, badKey())
	}
	for name, v := range secrets {
		if len(v) > maxSecret || strings.ContainsAny(v, "\r\n\x00") {
			errs = append(errs, bad("/"+name, "format", "is not a usable secret", "give one line of at most 4096 bytes"))
		}
	}
	switch r.Kind {
	case domain.ResourceApp:
		var a domain.App
		if f := decode(r.Spec, &a); f != nil {
			return nil, append(errs, *f)
		}
		errs = append(errs, sameKey(a.Key, r.Key)...)
		errs = append(errs, appErrors(a, secrets)...)
		a.Key = r.Key
		return encode(a), errs
	case domain.ResourceRobot:
		var b domain.Robot
		if f := decode(r.Spec, &b); f != nil {
			return nil, append(errs, *f)
		}
		errs = append(errs, sameKey(b.Key, r.Key)...)
		errs = append(errs, robotErrors(b, secrets)...)
		b.Key = r.Key
		return encode(b), errs
	case domain.ResourceAudience:
		var a domain.Audience
		if f := decode(r.Spec, &a); f != nil {
			return nil, append(errs, *f)
		}
		errs = append(errs, sameKey(a.Key, r.Key)...)
		a.Key = r.Key
		errs = append(errs, c.audienceErrors(a)...)
		return encode(a), errs
	case domain.ResourceSchedule:
		var s domain.Schedule
		if f := decode(r.Spec, &s); f != nil {
			return nil, append(errs, *f)
		}
		errs = append(errs, sameKey(s.Key, r.Key)...)
		s.Key = r.Key
		return encode(s), append(errs, c.cfg.CheckSchedule(s)...)
	case domain.ResourceScene:
	}
	return nil, append(errs, bad("/kind", "unsupported", fmt.Sprintf("%s cannot be stored this way", r.Kind), "use app, audience, robot or schedule"))
}

func sameKey(inBody, inPath string) []domain.FieldError {
	if inBody != "" && inBody != inPath {
		return []domain.FieldError{bad("/key", "mismatch", "does not agree with the path", "leave it out or use the same key", inPath)}
	}
	return nil
}

// decode reads strictly and says which field was wrong.
func decode(spec json.RawMessage, into any) *domain.FieldError {
	dec := json.NewDecoder(bytes.NewReader(spec))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		return nil
	}
	var f domain.FieldError
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		f = bad("/"+strings.Trim(name, `"`), "unknown", "is not known here", "remove it or check its spelling")
		return &f
	}
	if wrong, ok := err.(*json.UnmarshalTypeError); ok { //nolint:errorlint // the decoder returns it bare
		pointer := ""
		if wrong.Field != "" {
			pointer = "/" + strings.ReplaceAll(wrong.Field, ".", "/")
		}
		f = bad(pointer, "type", "has the wrong type", "check its type", wrong.Type.String(), wrong.Value)
		return &f
	}
	f = bad("", "json", "is not a JSON object", "send a JSON object")
	return &f
}

func encode(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil { // plain strings and numbers always encode
		panic("catalog: " + err.Error())
	}
	return raw
}

func appErrors(a domain.App, secrets map[string]string) []domain.FieldError {
	var errs []domain.FieldError
	add := func(f domain.FieldError) { errs = append(errs, f) }
	if len(a.Name) > maxName {
		add(bad("/name", "max_bytes", "is too long", "shorten it", maxName, len(a.Name)))
	}
	switch {
	case a.CorpID == "":
		add(bad("/corp_id", "required", "is missing", "take it from WeCom's console: 我的企业 → 企业ID"))
	case len(a.CorpID) > 64 || strings.ContainsAny(a.CorpID, " /?&#") || strings.ContainsFunc(a.CorpID, unicode.IsControl):
		add(bad("/corp_id", "format", "is not a corp id", "take it from WeCom's console: 我的企业 → 企业ID"))
	}
	if a.AgentID <= 0 {
		add(bad("/agent_id", "minimum", "must be a positive number", "take it from the app's page in WeCom's console: AgentId", 1))
	}
	if secrets["secret"] == "" {
		add(bad("/secret", "required", "is missing", "take it from the app's page in WeCom's console: Secret"))
	}
	if f := checkURL("/base_url", a.BaseURL, "http", "https"); f != nil {
		add(*f)
	}
	if f := checkURL("/proxy", joinProxy(a.Proxy, secrets[secretProxy]), "http", "https", "socks5"); f != nil {
		add(*f)
	}
	for _, n := range []struct {
		pointer string
		v, most int
	}{
		{"/accounts", a.Accounts, maxAccounts},
		{"/limits/member_per_minute", a.Limits.MemberPerMinute, 100_000},
		{"/limits/member_per_hour", a.Limits.MemberPerHour, 1_000_000},
		{"/limits/chat_member_per_minute", a.Limits.ChatMemberPerMinute, 100_000},
		{"/limits/chat_member_per_day", a.Limits.ChatMemberPerDay, 1_000_000},
		{"/limits/chat_persons_per_minute", a.Limits.ChatPersonsPerMinute, 1_000_000},
		{"/limits/chat_persons_per_hour", a.Limits.ChatPersonsPerHour, 1_000_000},
		{"/limits/concurrency", a.Limits.Concurrency, 256},
	} {
		if n.v < 0 || n.v > n.most {
			add(bad(n.pointer, "range", fmt.Sprintf("must be between 0 and %d", n.most), "0 takes the default", 0, n.most))
		}
	}
	if !slices.Contains([]string{"", "plain", "json"}, a.Token.RedisFormat) {
		add(bad("/token/redis_format", "enum", "is not a format", "use plain or json", "plain, json"))
	}
	if len(a.Token.RedisKey) > 512 {
		add(bad("/token/redis_key", "max_bytes", "is too long", "shorten it", 512, len(a.Token.RedisKey)))
	}
	for name, k := range secrets {
		if strings.HasSuffix(name, "aes_key") && k != "" && len(k) != 43 {
			add(bad("/callback/aes_key", "format", "has not 43 characters", "take EncodingAESKey from WeCom's console", "43 characters"))
		}
	}
	return errs
}

// webhookKey is what WeCom's keys look like, and what may stand in a URL.
var webhookKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

func robotErrors(b domain.Robot, secrets map[string]string) []domain.FieldError {
	var errs []domain.FieldError
	if len(b.Name) > maxName {
		errs = append(errs, bad("/name", "max_bytes", "is too long", "shorten it", maxName, len(b.Name)))
	}
	switch key := secrets[secretWebhookKey]; {
	case key == "":
		errs = append(errs, bad("/webhook_key", "required", "is missing", "take what follows key= in the robot's webhook address"))
	case !webhookKey.MatchString(key):
		errs = append(errs, bad("/webhook_key", "format", "is not the key of a robot", "give only what follows key= in the robot's webhook address", "letters, digits and hyphens"))
	}
	if f := checkURL("/base_url", b.BaseURL, "http", "https"); f != nil {
		errs = append(errs, *f)
	}
	if f := checkURL("/proxy", joinProxy(b.Proxy, secrets[secretProxy]), "http", "https", "socks5"); f != nil {
		errs = append(errs, *f)
	}
	if n := b.Limits.PerMinute; n < 0 || n > maxRobotRate {
		errs = append(errs, bad("/limits/per_minute", "range", fmt.Sprintf("must be between 0 and %d", maxRobotRate), "0 takes the default", 0, maxRobotRate))
	}
	return errs
}

// checkURL checks an optional URL with a host and one of the schemes. User and
// password are refused for base_url, so that no secret hides in a URL; a proxy
// may need them, and nothing behind the host, where a badly written password
// would end up.
func checkURL(pointer, s string, schemes ...string) *domain.FieldError {
	if s == "" {
		return nil
	}
	allowed := strings.Join(schemes, ", ")
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || len(s) > 2048 || !slices.Contains(schemes, u.Scheme) {
		f := bad(pointer, "scheme", "is not a URL with the scheme "+allowed, "write it in full, with scheme and host", allowed)
		return &f
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			f := bad(pointer, "port", "has a port that does not exist", "choose a port from 1 to 65535")
			return &f
		}
	}
	if pointer == "/base_url" && (u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		f := bad(pointer, "url", "must not hold a user, a query or a fragment", "give scheme, host and maybe a path")
		return &f
	}
	if pointer == "/proxy" && (strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "") {
		f := bad(pointer, "url", "must not hold a path, a query or a fragment", "give scheme, user, password, host and port; write / ? # @ in a password as %2F %3F %23 %40")
		return &f
	}
	return nil
}

func (c *Catalog) audienceErrors(a domain.Audience) []domain.FieldError {
	var errs []domain.FieldError
	if len(a.Name) > maxName {
		errs = append(errs, bad("/name", "max_bytes", "is too long", "shorten it", maxName, len(a.Name)))
	}
	for _, l := range []struct {
		name string
		list []string
	}{{"users", a.Users}, {"departments", a.Departments}, {"tags", a.Tags}} {
		errs = append(errs, addressErrors("/"+l.name, l.list)...)
	}
	live := c.live.Load()
	for i, key := range a.Audiences {
		pointer := fmt.Sprintf("/audiences/%d", i)
		if key == a.Key || live.reaches(key, a.Key, map[string]bool{}) {
			errs = append(errs, bad(pointer, "cycle", "contains this audience again", "break the circle"))
		} else if !ValidKey(key) {
			errs = append(errs, bad(pointer, "key", "is not a usable key", "use the key of an audience"))
		}
	}
	return errs
}

// reaches reports whether audience from holds audience to, directly or not.
func (s *snapshot) reaches(from, to string, seen map[string]bool) bool {
	if seen[from] {
		return false
	}
	seen[from] = true
	for _, k := range s.audiences[from].Audiences {
		if k == to || s.reaches(k, to, seen) {
			return true
		}
	}
	return false
}

func addressErrors(pointer string, list []string) []domain.FieldError {
	if len(list) > maxList {
		return []domain.FieldError{bad(pointer, "max_items", "has too many entries", "split the audience", maxList, len(list))}
	}
	var errs []domain.FieldError
	for i, id := range list {
		if pointer == "/departments" && !domain.ValidDepartment(id) {
			errs = append(errs, bad(fmt.Sprintf("%s/%d", pointer, i), "department", "is not the id of a department", "use the number that WeCom shows, such as 2"))
		} else if id == "" || len(id) > maxAddress || strings.ContainsAny(id, "| \t\r\n") {
			errs = append(errs, bad(fmt.Sprintf("%s/%d", pointer, i), "format", "is not an id", "use the id as WeCom shows it, 1 to 64 bytes"))
		}
		if len(errs) == 20 {
			break
		}
	}
	return errs
}

// sceneErrors checks what needs the other resources; the rest is the check
// handed in by configuration.
func (c *Catalog) sceneErrors(s domain.Scene) []domain.FieldError {
	var errs []domain.FieldError
	if !ValidKey(s.Key) {
		errs = append(errs, badKey())
	}
	live := c.live.Load()
	if s.Code != nil {
		if other, ok := live.codes[*s.Code]; ok && other != s.Key {
			errs = append(errs, codeTaken(*s.Code, fmt.Sprintf("scene %q", other)))
		}
	}
	if _, ok := live.apps[s.App]; s.App != "" && !ok {
		errs = append(errs, bad("/app", "unknown_app", "there is no such app", "list them with GET /v1/apps"))
	}
	// An audience may be written after the scene that names it, as in a file
	// with both; a send finds it missing.
	return append(errs, c.cfg.CheckScene(s)...)
}
