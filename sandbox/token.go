package sandbox

import (
	"crypto/subtle"
	"net/http"
	"time"
)

const (
	tokensPerApp = 64        // issued tokens remembered per app
	maxOffenders = 4096      // caller addresses watched for wrong secrets
	banTime      = time.Hour // and the window in which wrong secrets count
)

// token is one issued access token.
type token struct {
	value   string
	agent   int64
	expires time.Time
	dead    int // errcode it gets since it was killed, 0 while alive
}

type offender struct {
	since  time.Time
	wrong  int
	banned time.Time
}

type tokenBody struct {
	status
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
}

func (s *Server) getToken(c *call) response {
	q := c.r.URL.Query()
	corp, secret := q.Get("corpid"), q.Get("corpsecret")
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.offenders[c.ip]; o != nil && now.Before(o.banned) {
		return s.refused(refuse(codeFreq), c.ip, false)
	}
	switch {
	case corp == "":
		return s.refused(refuse(codeMissingCorp), c.ip, false)
	case secret == "":
		return s.refused(refuse(codeMissingSecret), c.ip, false)
	case corp != s.opt.CorpID:
		return s.refused(refuse(codeInvalidCorp), c.ip, false)
	}
	app := s.appBySecret(secret)
	if app == nil || app.Disabled {
		if app == nil {
			s.offend(c.ip, now)
		}
		return s.refused(refuse(codeInvalidSecret), c.ip, false)
	}
	c.agent = app.AgentID
	t := s.current[app.AgentID]
	if t == nil || t.dead != 0 || !now.Before(t.expires) {
		t = s.issue(app.AgentID, now)
	}
	// Repeating the call does not lengthen the life of the token.
	left := int((t.expires.Sub(now) + time.Second - 1) / time.Second)
	return okResponse(tokenBody{status: status{Errmsg: "ok"}, AccessToken: t.value, ExpiresIn: left})
}

func (s *Server) appBySecret(secret string) *App {
	for i := range s.apps {
		if subtle.ConstantTimeCompare([]byte(s.apps[i].Secret), []byte(secret)) == 1 {
			return &s.apps[i]
		}
	}
	return nil
}

func (s *Server) issue(agent int64, now time.Time) *token {
	t := &token{value: s.randomText(160), agent: agent, expires: now.Add(s.opt.TokenTTL)}
	s.current[agent] = t
	s.tokens[t.value] = t
	old := append(s.issued[agent], t.value)
	for len(old) > tokensPerApp {
		delete(s.tokens, old[0])
		old = old[1:]
	}
	s.issued[agent] = old
	return t
}

func (s *Server) offend(ip string, now time.Time) {
	if s.opt.WrongSecrets < 0 {
		return
	}
	o := s.offenders[ip]
	if o == nil {
		if len(s.offenders) >= maxOffenders {
			clear(s.offenders)
		}
		o = &offender{since: now}
		s.offenders[ip] = o
	}
	if now.Sub(o.since) >= banTime {
		o.since, o.wrong = now, 0
	}
	if o.wrong++; o.wrong >= s.opt.WrongSecrets {
		o.banned, o.since, o.wrong = now.Add(banTime), now.Add(banTime), 0
	}
}

// authorize runs the checks that every call but gettoken begins with, and
// returns the app the token belongs to. The caller holds the lock.
func (s *Server) authorize(c *call, now time.Time) (App, *refusal) {
	value := c.r.URL.Query().Get("access_token")
	if value == "" {
		return App{}, refuse(codeMissingToken)
	}
	t := s.tokens[value]
	switch {
	case t == nil:
		return App{}, refuse(codeInvalidToken)
	case t.dead != 0:
		return App{}, refuse(t.dead)
	case !now.Before(t.expires):
		return App{}, refuse(s.opt.ExpiredErrcode)
	}
	c.agent = t.agent
	app := s.app(t.agent)
	switch {
	case app == nil || app.Disabled:
		return App{}, refuse(codeAppDisabled)
	case !app.trusts(c.ip):
		return App{}, refuse(codeUntrustedIP)
	}
	return *app, nil
}

func (s *Server) app(agent int64) *App {
	for i := range s.apps {
		if s.apps[i].AgentID == agent {
			return &s.apps[i]
		}
	}
	return nil
}

// ExpireTokens kills every living token early, as WeCom may: the next call
// with one gets errcode (0 means Options.ExpiredErrcode). It returns how many
// died. gettoken gives a new one.
func (s *Server) ExpireTokens(errcode int) int {
	if errcode == 0 {
		errcode = s.opt.ExpiredErrcode
	}
	now, n := s.Now(), 0
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tokens {
		if t.dead == 0 && now.Before(t.expires) {
			t.dead = errcode
			n++
		}
	}
	return n
}

type agentBody struct {
	status
	AgentID        int64        `json:"agentid"`
	Name           string       `json:"name"`
	SquareLogoURL  string       `json:"square_logo_url"`
	Description    string       `json:"description"`
	AllowUsers     agentUsers   `json:"allow_userinfos"`
	AllowParties   agentParties `json:"allow_partys"`
	AllowTags      agentTags    `json:"allow_tags"`
	Close          int          `json:"close"`
	RedirectDomain string       `json:"redirect_domain"`
	ReportLocation int          `json:"report_location_flag"`
	IsReportEnter  int          `json:"isreportenter"`
	HomeURL        string       `json:"home_url"`
}

type agentUsers struct {
	User []agentUser `json:"user"`
}

type agentUser struct {
	UserID string `json:"userid"`
}

type agentParties struct {
	PartyID []int `json:"partyid"`
}

type agentTags struct {
	TagID []int `json:"tagid"`
}

func (s *Server) agentGet(c *call) response {
	s.mu.Lock()
	defer s.mu.Unlock()
	app, no := s.authorize(c, s.Now())
	if no == nil {
		no = checkAgent(c.r.URL.Query().Get("agentid"), app)
	}
	if no != nil {
		return s.refused(no, c.ip, false)
	}
	b := agentBody{
		status: status{Errmsg: "ok"}, AgentID: app.AgentID, Name: app.Name,
		AllowUsers: agentUsers{User: []agentUser{}}, AllowParties: agentParties{PartyID: []int{}}, AllowTags: agentTags{TagID: []int{}},
	}
	visible := s.dir.rangeOf(app)
	for _, id := range visible.Users {
		b.AllowUsers.User = append(b.AllowUsers.User, agentUser{UserID: id})
	}
	b.AllowParties.PartyID = append(b.AllowParties.PartyID, visible.Departments...)
	b.AllowTags.TagID = append(b.AllowTags.TagID, visible.Tags...)
	return okResponse(b)
}

// ipList serves get_api_domain_ip and getcallbackip with documentation
// addresses.
func (s *Server) ipList(c *call) response {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, no := s.authorize(c, s.Now()); no != nil {
		return s.refused(no, c.ip, false)
	}
	return okResponse(struct {
		status
		IPList []string `json:"ip_list"`
	}{status{Errmsg: "ok"}, []string{"192.0.2.10", "198.51.100.*"}})
}

// noOpAuthorized is the bare check of Options.NoOp.
func noOpAuthorized(r *http.Request) bool {
	return len(r.URL.RawQuery) > len("access_token=")
}
