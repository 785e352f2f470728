package httpapi

import (
	"net/http"

	"hongyan/internal/domain"
)

// handler answers a request or returns an error that becomes a problem.
type handler func(s *Server, w http.ResponseWriter, r *request) error

// route is one line of the table from which the mux, the OpenAPI description
// and the access tests are made.
type route struct {
	method, path string
	scope        string // of the key
	orScope      string // will do as well
	public       bool   // no key at all
	id           string // operationId
	summary      string
	tag          string
	limit        int64 // of the body
	body         any   // a value of the body's type; nil: no body
	optional     bool  // the body may be empty
	multipart    bool  // the body is a file
	status       int   // of success
	answer       any   // a value of the answer's type; nil: none
	query        []parameter
	headers      []parameter
	etag         bool // takes If-Match, gives ETag
	send         bool // takes Idempotency-Key
	namesInBody  bool // an unknown scene or app is a wrong field (422), not a wrong path (404)
	stream       bool // answers server-sent events
	limited      bool // the handler checks what a key limited to scenes or apps may change
	hidden       bool // not in the OpenAPI description
	quiet        bool // logged at debug level
	handle       handler
}

type parameter struct{ name, doc, kind string }

// reads reports whether the route changes nothing by its method.
func (r *route) reads() bool { return r.method == http.MethodGet || r.method == http.MethodHead }

func (r *route) knows(parameter string) bool {
	for i := range r.query {
		if r.query[i].name == parameter {
			return true
		}
	}
	return false
}

func (r *route) parameterNames() []string {
	out := make([]string, len(r.query))
	for i, p := range r.query {
		out[i] = p.name
	}
	return out
}

var (
	paging    = pagesOf("50")
	pagingAll = pagesOf("all")
)

// pagesOf makes the parameters of a list.
func pagesOf(limit string) []parameter {
	return []parameter{
		{"limit", "How many items, 1 to 200; default " + limit, "integer"},
		{"cursor", "next_cursor of the page before", "string"},
	}
}

// routes lists every route.
func routes() []route {
	const (
		get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
		sendScope, read     = domain.ScopeSend, domain.ScopeRead
		operate, configure  = domain.ScopeOperate, domain.ScopeConfigure
		admin               = domain.ScopeAdmin
	)
	table := []route{
		{
			method: post, path: "/v1/messages", scope: sendScope, id: "sendMessage", limited: true, tag: "Messages", summary: "Send a message", limit: limitMessages,
			body: domain.SendRequest{}, status: 202, answer: Accepted{}, send: true, namesInBody: true, handle: send,
			query: []parameter{{"wait", "Wait for the end, at most 30s: 5s, 500ms. Answers 200 with the message if it ends in time", "string"}},
		},
		{
			method: post, path: "/v1/messages/batch", scope: sendScope, id: "sendBatch", limited: true, tag: "Messages", summary: "Send up to 1000 messages in one commit", limit: limitMessages,
			body: batchDoc{}, status: 200, answer: BatchAnswer{}, send: true, namesInBody: true, handle: sendBatch,
		},
		{
			method: get, path: "/v1/messages", scope: read, id: "listMessages", tag: "Messages", summary: "Search messages, newest first", status: 200, answer: List[MessageLine]{}, handle: listMessages,
			query: append([]parameter{
				{"state", "A message state", "string"},
				{"scene", "A scene's key", "string"},
				{"app", "An app's key", "string"},
				{"user", "A member's id, in any case", "string"},
				{"reference", "The caller's own number", "string"},
				{"source", "api, resend, digest, schedule:<key>…", "string"},
				{"errcode", "WeCom's errcode of an attempt", "integer"},
				{"merged_into", "Carried by the digest with this id", "string"},
				{"since", "Created at or after this time", "date-time"},
				{"until", "Created before this time", "date-time"},
				{"q", "Text in title or body", "string"},
			}, paging...),
		},
		{method: get, path: "/v1/messages/{id}", scope: read, id: "getMessage", tag: "Messages", summary: "One message with its deliveries and attempts", status: 200, answer: Message{}, handle: getMessage},
		{method: get, path: "/v1/messages/{id}/recipients", scope: read, id: "listRecipients", tag: "Messages", summary: "What became of each recipient", status: 200, answer: List[Recipient]{}, query: paging, handle: listRecipients},
		{method: get, path: "/v1/messages/{id}/events", scope: read, id: "listMessageEvents", tag: "Messages", summary: "The timeline of a message", status: 200, answer: List[Event]{}, query: pagingAll, handle: listEvents},
		{method: post, path: "/v1/messages/{id}/cancel", scope: operate, id: "cancelMessage", limited: true, tag: "Messages", summary: "Cancel what is not yet being sent", body: struct{}{}, optional: true, status: 200, answer: Message{}, handle: cancelMessage},
		{method: post, path: "/v1/messages/{id}/release", scope: operate, id: "releaseMessage", limited: true, tag: "Messages", summary: "Decide about a held message, which WeCom may or may not have: send it again, or drop it", body: releaseRequest{}, optional: true, status: 200, answer: Message{}, handle: releaseMessage},
		{method: post, path: "/v1/messages/{id}/resend", scope: operate, id: "resendMessage", limited: true, tag: "Messages", summary: "Send a message again as a new one", body: resendRequest{}, optional: true, status: 202, answer: Accepted{}, send: true, handle: resendMessage},
		{
			method: get, path: "/v1/events/stream", scope: read, id: "streamEvents", tag: "Events", summary: "Follow all events (server-sent events); Last-Event-ID goes on where a stream broke off. A stream ends with its key, and when the gateway stops", status: 200, answer: Event{}, stream: true, handle: stream,
			query:   []parameter{{"last_event_id", "For clients that cannot set the header Last-Event-ID", "integer"}},
			headers: []parameter{{"Last-Event-ID", "The id of the last event seen", "integer"}},
		},
		{method: post, path: "/v1/media", scope: sendScope, id: "uploadMedia", limited: true, tag: "Messages", summary: "Upload a media file of up to 20 MiB", limit: limitMedia, multipart: true, status: 201, answer: Upload{}, handle: uploadMedia},
	}
	for _, k := range []struct {
		kind         domain.ResourceKind
		path, name   string
		tag          string
		shared       bool // it belongs to no scene or app alone
		body, answer any
		put          handler
	}{
		{domain.ResourceApp, "/v1/apps", "App", "Apps", false, appBody{}, AppDoc{}, putApp},
		{domain.ResourceScene, "/v1/scenes", "Scene", "Scenes", false, sceneBody{}, SceneDoc{}, putScene},
		{domain.ResourceAudience, "/v1/audiences", "Audience", "Audiences", true, audienceBody{}, AudienceDoc{}, putAudience},
		{domain.ResourceRobot, "/v1/robots", "Robot", "Robots", true, robotBody{}, RobotDoc{}, putRobot},
	} {
		table = append(table,
			route{method: get, path: k.path, scope: read, id: "list" + k.name + "s", tag: k.tag, summary: "List " + k.path[4:], status: 200, answer: listDoc(k.answer), query: paging, handle: listResources(k.kind)},
			route{method: post, path: k.path, scope: configure, id: "create" + k.name, limited: !k.shared, tag: k.tag, summary: "Create one, under the key in the body or a made one", body: k.body, status: 201, answer: k.answer, handle: k.put, namesInBody: true},
			route{method: get, path: k.path + "/{key}", scope: read, id: "get" + k.name, tag: k.tag, summary: "Read one", status: 200, answer: k.answer, etag: true, handle: getResource(k.kind)},
			route{method: put, path: k.path + "/{key}", scope: configure, id: "put" + k.name, limited: !k.shared, tag: k.tag, summary: "Create or replace one (201 or 200)", body: k.body, status: 200, answer: k.answer, etag: true, handle: k.put, namesInBody: true, query: dryRunParameter},
			route{method: del, path: k.path + "/{key}", scope: configure, id: "delete" + k.name, limited: !k.shared, tag: k.tag, summary: "Delete one", status: 204, etag: true, handle: deleteResource(k.kind)},
		)
	}
	table = append(table,
		route{method: post, path: "/v1/apps/{key}/pause", scope: operate, id: "pauseApp", limited: true, tag: "Apps", summary: "Stop sending through an app; its messages wait", body: struct{}{}, optional: true, status: 200, answer: AppHealth{}, handle: operateApp(pauseApp)},
		route{method: post, path: "/v1/apps/{key}/resume", scope: operate, id: "resumeApp", limited: true, tag: "Apps", summary: "Go on, and probe a blocked app at once", body: struct{}{}, optional: true, status: 200, answer: AppHealth{}, handle: operateApp(resumeApp)},
		route{method: post, path: "/v1/apps/{key}/test", scope: operate, id: "testApp", limited: true, tag: "Apps", summary: "Ask WeCom whether the app works", body: struct{}{}, optional: true, status: 200, answer: AppTest{}, handle: operateApp(testApp)},
		route{method: get, path: "/v1/apps/{key}/directory", scope: read, id: "getDirectory", tag: "Apps", summary: "What is known of who is in the app's departments and tags", status: 200, answer: AppDirectory{}, handle: getDirectory},
		route{method: post, path: "/v1/apps/{key}/directory/refresh", scope: operate, id: "refreshDirectory", tag: "Apps", summary: "Read departments and tags from WeCom now", body: struct{}{}, optional: true, status: 200, answer: AppDirectory{}, handle: refreshDirectory},
		route{method: get, path: "/v1/scenes/{key}/versions", scope: read, id: "listSceneVersions", tag: "Scenes", summary: "The history of a scene, newest first", status: 200, answer: List[SceneVersion]{}, query: paging, handle: listSceneVersions},
		route{method: get, path: "/v1/scenes/{key}/versions/{version}", scope: read, id: "getSceneVersion", tag: "Scenes", summary: "A scene as it was", status: 200, answer: SceneDoc{}, handle: getSceneVersion},
		route{method: post, path: "/v1/scenes/{key}/rollback", scope: configure, id: "rollbackScene", limited: true, tag: "Scenes", summary: "Make an old version live again, as a new version", body: rollbackRequest{}, status: 200, answer: SceneDoc{}, etag: true, handle: rollbackScene},
		route{method: post, path: "/v1/scenes/{key}/preview", scope: read, orScope: configure, id: "previewScene", limited: true, tag: "Scenes", summary: "Render a scene, a version or a draft without sending", body: previewRequest{}, status: 200, answer: DryRun{}, handle: previewScene},
		route{method: get, path: "/v1/schedules", scope: read, id: "listSchedules", tag: "Schedules", summary: "List schedules", status: 200, answer: List[ScheduleDoc]{}, query: paging, handle: listSchedules},
		route{method: post, path: "/v1/schedules", scope: configure, id: "createSchedule", limited: true, tag: "Schedules", summary: "Create one, under the key in the body or a made one", body: scheduleBody{}, status: 201, answer: ScheduleDoc{}, namesInBody: true, handle: putSchedule},
		route{method: get, path: "/v1/schedules/{key}", scope: read, id: "getSchedule", tag: "Schedules", summary: "Read one, with its next runs and the last", status: 200, answer: ScheduleDoc{}, etag: true, handle: getSchedule},
		route{method: put, path: "/v1/schedules/{key}", scope: configure, id: "putSchedule", limited: true, tag: "Schedules", summary: "Create or replace one (201 or 200)", body: scheduleBody{}, status: 200, answer: ScheduleDoc{}, etag: true, namesInBody: true, query: dryRunParameter, handle: putSchedule},
		route{method: del, path: "/v1/schedules/{key}", scope: configure, id: "deleteSchedule", limited: true, tag: "Schedules", summary: "Delete one", status: 204, etag: true, handle: deleteSchedule},
		route{method: post, path: "/v1/schedules/{key}/preview", scope: read, orScope: configure, id: "previewSchedule", limited: true, tag: "Schedules", summary: "Show when a schedule or a draft would run and what a run would send", body: schedulePreviewRequest{}, optional: true, status: 200, answer: SchedulePreview{}, namesInBody: true, handle: previewSchedule},
		route{method: post, path: "/v1/schedules/{key}/run", scope: operate, id: "runSchedule", limited: true, tag: "Schedules", summary: "Make one run now", body: struct{}{}, optional: true, status: 202, answer: Accepted{}, send: true, namesInBody: true, handle: runSchedule},
		route{method: post, path: "/v1/keys", scope: admin, id: "createKey", limited: true, tag: "Keys", summary: "Make an API key; the answer shows it for the only time", body: keyRequest{}, status: 201, answer: Key{}, handle: createKey},
		route{method: get, path: "/v1/keys", scope: admin, id: "listKeys", tag: "Keys", summary: "List keys", status: 200, answer: List[Key]{}, query: paging, handle: listKeys},
		route{method: get, path: "/v1/keys/{id}", scope: admin, id: "getKey", tag: "Keys", summary: "Read one", status: 200, answer: Key{}, handle: getKey},
		route{method: del, path: "/v1/keys/{id}", scope: admin, id: "revokeKey", limited: true, tag: "Keys", summary: "Revoke a key", status: 204, handle: revokeKey},
		route{method: get, path: "/v1/lanes", scope: read, id: "listLanes", tag: "Lanes", summary: "What waits where, and why", status: 200, answer: List[Lane]{}, query: pagingAll, handle: listLanes},
		route{method: get, path: "/v1/errcodes", scope: read, id: "listErrcodes", tag: "Errcodes", summary: "WeCom's error codes", status: 200, answer: List[Errcode]{}, query: paging, handle: listErrcodes},
		route{method: get, path: "/v1/errcodes/{code}", scope: read, id: "getErrcode", tag: "Errcodes", summary: "What one of WeCom's error codes means and what to do", status: 200, answer: Errcode{}, handle: getErrcode},
		route{method: get, path: "/livez", public: true, id: "live", tag: "Health", summary: "The process runs", status: 200, answer: Status{}, quiet: true, handle: live},
		route{method: get, path: "/readyz", public: true, id: "ready", tag: "Health", summary: "It can accept messages", status: 200, answer: Status{}, quiet: true, handle: ready},
		route{method: get, path: "/setup/{token}", public: true, hidden: true, handle: setupPage},
		route{method: post, path: "/setup/{token}", public: true, hidden: true, handle: setupKey},
		route{method: get, path: "/{$}", public: true, hidden: true, handle: home},
		route{method: get, path: "/openapi.json", public: true, hidden: true, handle: openapiJSON},
		route{method: get, path: "/openapi.yaml", public: true, hidden: true, handle: openapiYAML},
		route{method: get, path: "/docs", public: true, hidden: true, handle: docsPage},
		route{method: get, path: "/docs/errors", public: true, hidden: true, handle: errorsPage},
	)
	for i := range table {
		if table[i].limit == 0 {
			table[i].limit = limitDefault
		}
	}
	return table
}
