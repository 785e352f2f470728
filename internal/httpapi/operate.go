package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/i18n"
	"hongyan/wecom"
)

// Health is whether an app can send.
type Health struct {
	State       domain.HealthState `json:"state"`
	Cause       *string            `json:"cause"`
	Errcode     *int               `json:"errcode"`
	SeenIP      *string            `json:"seen_ip" doc:"The address that WeCom saw, to be entered in its list of trusted addresses"`
	Since       *time.Time         `json:"since"`
	NextProbeAt *time.Time         `json:"next_probe_at"`
	Fix         *string            `json:"fix"`
}

func healthView(h domain.AppHealth, lang i18n.Lang) Health {
	if h.State == "" {
		h.State = domain.HealthOK
	}
	out := Health{
		State: h.State, Cause: orNil(h.Cause), Errcode: orNil(h.Errcode), SeenIP: orNil(h.SeenIP),
		Since: timeOrNil(h.Since), NextProbeAt: timeOrNil(h.NextProbeAt),
	}
	switch {
	case h.State == domain.HealthPaused:
		out.Fix = orNil(i18n.Pair{EN: "A person paused it; POST /v1/apps/" + h.App + "/resume lets it go on.", ZH: "已被人工暂停；POST /v1/apps/" + h.App + "/resume 可恢复。"}.In(lang))
	case h.State == domain.HealthBlocked && h.Cause == domain.CauseRedirected:
		out.Fix = orNil(i18n.Pair{
			EN: "What answers at base_url sends redirects, which WeCom never does and the gateway does not follow. Correct the app's base_url or proxy, or what stands between; the gateway tries once a minute.",
			ZH: "base_url 处返回的是重定向；企业微信不会这样应答，网关也不会跟随。请更正应用的 base_url 或 proxy，或检查中间的代理；网关每分钟会重试一次。",
		}.In(lang))
	case h.State == domain.HealthBlocked && h.Errcode != 0:
		e, ok := wecom.Lookup(h.Errcode)
		switch {
		case !ok:
			out.Fix = orNil(lookItUp(h.Errcode, lang))
		case lang == i18n.ZH:
			out.Fix = orNil(sentence(e.ZH.Fix, lang))
		default:
			out.Fix = orNil(sentence(e.EN.Fix, lang))
		}
	}
	return out
}

// AppTest is the outcome of a probe.
type AppTest struct {
	OK         bool    `json:"ok"`
	Errcode    *int    `json:"errcode" doc:"WeCom's; null: it has not answered, or not with one"`
	Errmsg     string  `json:"errmsg"`
	DurationMS float64 `json:"duration_ms"`
	Health     Health  `json:"health"`
}

// AppHealth is the answer to pause and resume.
type AppHealth struct {
	Key    string `json:"key"`
	Health Health `json:"health"`
}

// operateApp runs an action on the app in the path.
func operateApp(action func(ctx context.Context, s *Server, r *request, key string) (any, error)) handler {
	return func(s *Server, w http.ResponseWriter, r *request) error {
		if err := s.decode(w, r, emptyShape, true, &struct{}{}); err != nil {
			return err
		}
		key := r.PathValue("key")
		if !validKey(key) {
			return absent(domain.ResourceApp, cut(key, maxKey))
		}
		if r.caller.Limited() {
			if _, err := s.find(r, domain.ResourceApp, key); err != nil {
				return err
			}
		}
		if err := mayChangeApp(r.caller, key); err != nil {
			return err
		}
		if s.cfg.Apps == nil {
			return errNoService
		}
		v, err := action(r.Context(), s, r, key)
		if err != nil {
			return err
		}
		return reply(w, http.StatusOK, v)
	}
}

func pauseApp(ctx context.Context, s *Server, r *request, key string) (any, error) {
	h, err := s.cfg.Apps.Pause(ctx, key, r.caller.KeyID)
	return AppHealth{Key: key, Health: healthView(h, r.language())}, err
}

func resumeApp(ctx context.Context, s *Server, r *request, key string) (any, error) {
	h, err := s.cfg.Apps.Resume(ctx, key, r.caller.KeyID)
	return AppHealth{Key: key, Health: healthView(h, r.language())}, err
}

func testApp(ctx context.Context, s *Server, r *request, key string) (any, error) {
	t, err := s.cfg.Apps.Test(ctx, key)
	return AppTest{
		OK: t.OK, Errcode: given(t.Errcode, t.OK), Errmsg: t.Errmsg,
		DurationMS: float64(t.Duration.Microseconds()) / 1000, Health: healthView(t.Health, r.language()),
	}, err
}

// Lane is one stream of deliveries that share WeCom's limits.
type Lane struct {
	Lane        string                      `json:"lane"`
	Depth       int64                       `json:"depth" doc:"Open deliveries"`
	Sending     int64                       `json:"sending"`
	InFlight    int                         `json:"in_flight"`
	Concurrency int                         `json:"concurrency"`
	OldestAt    *time.Time                  `json:"oldest_at"`
	NextDueAt   *time.Time                  `json:"next_due_at" doc:"When the next delivery may go: not before a pause ends, null while the end of that is not known"`
	Waiting     map[domain.WaitReason]int64 `json:"waiting" doc:"How many wait, by reason"`
	Used        []domain.WindowUse          `json:"used"`
	PausedUntil *time.Time                  `json:"paused_until"`
	PauseReason *domain.WaitReason          `json:"pause_reason"`
	Cause       *string                     `json:"cause"`
	Owner       *string                     `json:"owner"`
	Fence       int64                       `json:"fence"`
	Parked      int                         `json:"parked" doc:"Deliveries that wait for a member's budget"`
	Hot         []domain.HotMember          `json:"hot" doc:"The members closest to their limits, or waiting"`
	ReportedAt  *time.Time                  `json:"reported_at" doc:"When the lane's owner said so: other nodes see it a few seconds late"`
}

func listLanes(s *Server, w http.ResponseWriter, r *request) error {
	q := &r.query
	limit, after := q.limitOr(all), q.after("lanes")
	if err := q.err(); err != nil {
		return err
	}
	if s.cfg.Lanes == nil {
		return errNoService
	}
	lanes, err := s.cfg.Lanes.Lanes(r.Context())
	if err != nil {
		return err
	}
	sees, err := s.sight(r, domain.ResourceApp)
	if err != nil {
		return err
	}
	slices.SortFunc(lanes, func(a, b domain.LaneStatus) int { return strings.Compare(a.Lane, b.Lane) })
	items, next := []Lane{}, ""
	for _, l := range lanes {
		if l.Lane <= after {
			continue
		}
		if app, ok := strings.CutPrefix(l.Lane, "app:"); r.caller.Limited() && (!ok || !sees(domain.Resource{Key: app})) {
			continue
		}
		if len(items) == limit {
			next = mark("lanes", items[limit-1].Lane)
			break
		}
		v := Lane{
			Lane: l.Lane, Depth: l.Depth, Sending: l.Sending, InFlight: l.InFlight, Concurrency: l.Concurrency,
			OldestAt: timeOrNil(l.OldestAt), NextDueAt: timeOrNil(l.NextDueAt), Waiting: l.WaitReasons, Used: l.Used,
			PausedUntil: timeOrNil(l.PausedUntil), PauseReason: orNil(l.PauseReason), Cause: orNil(l.Cause), Owner: orNil(l.Owner), Fence: l.Fence,
			Parked: l.Parked, Hot: l.Hot, ReportedAt: timeOrNil(l.At),
		}
		if v.Waiting == nil {
			v.Waiting = map[domain.WaitReason]int64{}
		}
		if v.Hot == nil || len(r.caller.Scenes) > 0 { // whom other scenes write to
			v.Hot = []domain.HotMember{}
		}
		if v.Used == nil {
			v.Used = []domain.WindowUse{}
		}
		items = append(items, v)
	}
	return reply(w, http.StatusOK, page(items, next))
}

// Errcode explains one of WeCom's error codes.
type Errcode struct {
	Code  int         `json:"code"`
	Class string      `json:"class" doc:"How the gateway treats it"`
	Name  string      `json:"name"`
	EN    Explanation `json:"en"`
	ZH    Explanation `json:"zh"`
}

// Explanation says what a code means, whose fault it is and what to do.
type Explanation struct {
	Meaning string `json:"meaning"`
	Fault   string `json:"fault"`
	Fix     string `json:"fix"`
}

func errcodeView(e wecom.Errcode) Errcode {
	return Errcode{
		Code: e.Code, Class: string(e.Class), Name: e.Name,
		EN: Explanation(e.EN), ZH: Explanation(e.ZH),
	}
}

func getErrcode(_ *Server, w http.ResponseWriter, r *request) error {
	code, err := strconv.Atoi(r.PathValue("code"))
	if err != nil {
		return &domain.Error{Code: domain.CodeNotFound}
	}
	e, ok := wecom.Lookup(code)
	if !ok {
		return domain.Errorf(domain.CodeNotFound, "WeCom's error code %d is not in the table", code)
	}
	return reply(w, http.StatusOK, errcodeView(e))
}

func listErrcodes(_ *Server, w http.ResponseWriter, r *request) error {
	q := &r.query
	limit, after := q.limit(), q.afterNumber("errcodes")
	if err := q.err(); err != nil {
		return err
	}
	items, next := []Errcode{}, ""
	table := wecom.Errcodes()
	for i := int(min(after, int64(len(table)))); i < len(table); i++ {
		if len(items) == limit {
			next = mark("errcodes", strconv.Itoa(i))
			break
		}
		items = append(items, errcodeView(table[i]))
	}
	return reply(w, http.StatusOK, page(items, next))
}
