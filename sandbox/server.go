package sandbox

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The operations a fault may name, which are also the keys of Counts.ByOp.
const (
	OpGetToken    = "gettoken"
	OpSend        = "message/send"
	OpUpload      = "media/upload"
	OpUploadImage = "media/uploadimg"
	OpMediaGet    = "media/get"
	OpAgentGet    = "agent/get"
	OpDepartments = "department/simplelist"
	OpMembers     = "user/simplelist"
	OpTagGet      = "tag/get"
	OpIPList      = "iplist"
	OpRobotSend   = "webhook/send"
	OpRobotUpload = "webhook/upload_media"
	OpChatCreate  = "appchat/create"
	OpChatUpdate  = "appchat/update"
	OpChatGet     = "appchat/get"
	OpChatSend    = "appchat/send"
)

var operations = []string{
	OpGetToken, OpSend, OpUpload, OpUploadImage, OpMediaGet, OpAgentGet, OpDepartments, OpMembers, OpTagGet, OpIPList,
	OpRobotSend, OpRobotUpload, OpChatCreate, OpChatUpdate, OpChatGet, OpChatSend,
}

const (
	maxBody       = 8 << 20 // 8 mpnews articles of 666 KB fit
	maxUploadBody = 21 << 20
)

// Server is the sandbox. It is an http.Handler and safe for concurrent use.
// Make one with New and end it with Close.
type Server struct {
	opt    Options
	mux    *http.ServeMux
	guard  *http.CrossOriginProtection
	done   chan struct{}
	close  sync.Once
	offset atomic.Int64 // how far the clock was moved, ns
	flying atomic.Int64 // message/send calls running
	seq    atomic.Uint64

	noOpSends, noOpRefused atomic.Int64

	mu        sync.Mutex // guards all below
	dice      *mathrand.Rand
	apps      []App
	dir       *directory
	robots    []Robot
	chats     []Chat
	groups    *groupLimits
	tokens    map[string]*token
	current   map[int64]*token
	issued    map[int64][]string
	offenders map[string]*offender
	windows   map[windowKey]*memberWindow
	quotas    map[int64]*appQuota
	seen      *duplicates
	media     *mediaShelf
	ledger    *ledger
	calls     *callLog
	counts    Counts
	faults    []armedFault
	faultID   int
	watchers  map[*watcher]struct{}
}

// New returns a seeded sandbox that is ready to serve.
func New(opt Options) *Server {
	opt = opt.withDefaults()
	seed := opt.Seed
	if seed == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		seed = binary.LittleEndian.Uint64(b[:])
	}
	s := &Server{
		opt:      opt,
		guard:    http.NewCrossOriginProtection(),
		done:     make(chan struct{}),
		dice:     mathrand.New(mathrand.NewPCG(seed, 0x9e3779b97f4a7c15)),
		apps:     append([]App(nil), opt.Apps...),
		dir:      newDirectory(opt),
		watchers: map[*watcher]struct{}{},
	}
	s.forget()
	for _, r := range opt.Robots {
		r.Name = orText(r.Name, "robot-"+itoa(len(s.robots)+1))
		s.robots = append(s.robots, r)
	}
	s.routes()
	return s
}

// forget empties everything that calls have left behind. The caller holds the
// lock or is alone.
func (s *Server) forget() {
	s.tokens, s.current, s.issued = map[string]*token{}, map[int64]*token{}, map[int64][]string{}
	s.offenders = map[string]*offender{}
	s.windows, s.quotas = map[windowKey]*memberWindow{}, map[int64]*appQuota{}
	s.groups = newGroupLimits()
	s.chats = nil
	for _, c := range s.opt.Chats {
		s.own(&c)
		s.chats = append(s.chats, c)
	}
	s.seen = newDuplicates()
	s.media = newMediaShelf(s.opt.MediaBytes)
	s.ledger = newLedger(s.opt.LedgerSize, s.opt.LedgerBytes)
	s.calls = newCallLog()
	s.counts = newCounts()
	s.noOpSends.Store(0)
	s.noOpRefused.Store(0)
}

// Close lets hanging calls and live pages end. It may be called twice.
func (s *Server) Close() { s.close.Do(func() { close(s.done) }) }

// Now is the sandbox's time: Options.Now plus what the clock was moved by.
func (s *Server) Now() time.Time {
	return s.opt.Now().Add(time.Duration(s.offset.Load()))
}

// AdvanceClock moves the sandbox's clock by d, which may be negative: tokens,
// media, limits, bans and the duplicate check follow it.
func (s *Server) AdvanceClock(d time.Duration) { s.offset.Add(int64(d)) }

// Reset forgets tokens, ledger, counters, limits, media and faults, and puts
// the clock back. Members, apps and robots stay as they are now; chats are
// those of Options again.
func (s *Server) Reset() {
	s.mu.Lock()
	s.forget()
	s.faults = nil
	s.offset.Store(0)
	s.wake()
	s.mu.Unlock()
}

func (s *Server) routes() {
	m := http.NewServeMux()
	m.HandleFunc("/cgi-bin/gettoken", s.wecom(OpGetToken, s.getToken))
	m.HandleFunc("/cgi-bin/message/send", s.wecom(OpSend, s.send))
	m.HandleFunc("/cgi-bin/media/upload", s.wecom(OpUpload, s.upload))
	m.HandleFunc("/cgi-bin/media/uploadimg", s.wecom(OpUploadImage, s.uploadImage))
	m.HandleFunc("/cgi-bin/media/get", s.wecom(OpMediaGet, s.mediaGet))
	m.HandleFunc("/cgi-bin/agent/get", s.wecom(OpAgentGet, s.agentGet))
	m.HandleFunc("/cgi-bin/department/simplelist", s.wecom(OpDepartments, s.reading(s.departmentList)))
	m.HandleFunc("/cgi-bin/user/simplelist", s.wecom(OpMembers, s.reading(s.userList)))
	m.HandleFunc("/cgi-bin/tag/get", s.wecom(OpTagGet, s.reading(s.tagGet)))
	m.HandleFunc("/cgi-bin/webhook/send", s.wecom(OpRobotSend, s.robotSend))
	m.HandleFunc("/cgi-bin/webhook/upload_media", s.wecom(OpRobotUpload, s.robotUpload))
	m.HandleFunc("/cgi-bin/appchat/create", s.wecom(OpChatCreate, s.changeChat(s.chatCreate)))
	m.HandleFunc("/cgi-bin/appchat/update", s.wecom(OpChatUpdate, s.changeChat(s.chatUpdate)))
	m.HandleFunc("/cgi-bin/appchat/get", s.wecom(OpChatGet, s.reading(s.chatGet)))
	m.HandleFunc("/cgi-bin/appchat/send", s.wecom(OpChatSend, s.chatSend))
	m.HandleFunc("/cgi-bin/get_api_domain_ip", s.wecom(OpIPList, s.ipList))
	m.HandleFunc("/cgi-bin/getcallbackip", s.wecom(OpIPList, s.ipList))
	s.controlRoutes(m)
	s.pageRoutes(m)
	s.mux = m
}

// ServeHTTP serves WeCom's routes, the control routes and the phone page.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.opt.NoOp && r.URL.Path == "/cgi-bin/message/send" {
		s.noOp(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

var noOpAnswer = []byte(`{"errcode":0,"errmsg":"ok","msgid":"sandbox-noop"}`)

func (s *Server) noOp(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxBody))
	if s.opt.Latency > 0 {
		s.pause(s.opt.Latency)
	}
	if !noOpAuthorized(r) {
		s.noOpRefused.Add(1)
		s.refused(refuse(codeMissingToken), s.callerIP(r), false).write(w)
		return
	}
	s.noOpSends.Add(1)
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_, _ = w.Write(noOpAnswer)
}

// call is one request on its way through a WeCom route.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	op     string
	ip     string
	flying int64  // message/send calls running, this one included
	landed func() // ends that, before the caller can know of the answer
	body   []byte
	env    envelope // of messages
	group  string   // the robot's name or the chat's id
	tooBig bool

	agent     int64 // known once authorized
	kind      string
	entry     int64 // ledger id, 0 when nothing was taken
	dropped   int
	duplicate bool
	fault     string // what the armed fault does, "" without one
}

// wecom wraps the handler of one route with body reading, faults and the call
// log.
func (s *Server) wecom(op string, handle func(*call) response) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{w: w, r: r, op: op, ip: s.callerIP(r), landed: func() {}}
		if op == OpSend {
			c.flying = s.flying.Add(1)
			c.landed = sync.OnceFunc(func() { s.flying.Add(-1) })
			defer c.landed()
		}
		switch op {
		case OpSend, OpRobotSend, OpChatSend, OpChatCreate, OpChatUpdate:
			var big *http.MaxBytesError
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
			if err != nil && !errors.As(err, &big) {
				panic(http.ErrAbortHandler) // the caller went away while writing
			}
			c.body, c.tooBig = body, err != nil
			c.env = parseEnvelope(body)
			c.kind = c.env.MsgType
		case OpUpload, OpRobotUpload:
			c.kind = r.URL.Query().Get("type")
		}
		c.group = s.groupOf(c)
		f := s.pickFault(c)
		c.fault = f.label
		s.pause(s.opt.Latency + f.before)
		if f.out != nil && !f.out.after() {
			s.logCall(c, f.out.Errcode, f.out.Errcode != 0)
			s.act(c, f.out, nil)
			return
		}
		res := handle(c)
		if f.out == nil {
			s.logCall(c, res.errcode, true)
		} else if f.out.Errcode != 0 {
			s.logCall(c, f.out.Errcode, true)
		} else {
			s.logCall(c, res.errcode, false)
		}
		s.pause(f.afterwards)
		if f.out != nil {
			s.act(c, f.out, &res)
			return
		}
		c.landed()
		res.write(w)
	}
}

// groupOf says which group a call is about, if any: the robot's name or the
// chat's id.
func (s *Server) groupOf(c *call) string {
	q := c.r.URL.Query()
	switch c.op {
	case OpRobotSend, OpRobotUpload:
		s.mu.Lock()
		defer s.mu.Unlock()
		if r := s.robot(q.Get("key")); r != nil {
			return r.Name
		}
	case OpChatSend:
		return c.env.chatID
	case OpChatGet:
		return q.Get("chatid")
	}
	return ""
}

// pause waits for d, or for Close.
func (s *Server) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.done:
	}
}

func (s *Server) callerIP(r *http.Request) string {
	if s.opt.CallerIP != "" {
		return s.opt.CallerIP
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
