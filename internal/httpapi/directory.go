package httpapi

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/i18n"
	"hongyan/wecom"
)

// refreshWait bounds how long a call waits for a reading, which goes on after
// it.
const refreshWait = 10 * time.Second

// AppDirectory is what an app knows of its members.
type AppDirectory struct {
	State         domain.DirectoryState `json:"state" enum:"known,stale,unknown" doc:"known: messages to departments, tags and @all are counted for each member. stale: so are they, with a directory whose renewal is overdue. unknown: they are counted as if they reached everybody"`
	Members       int                   `json:"members"`
	Departments   int                   `json:"departments"`
	Tags          int                   `json:"tags"`
	FetchedAt     *time.Time            `json:"fetched_at"`
	NextRefreshAt *time.Time            `json:"next_refresh_at" doc:"null while nothing needs it"`
	Refreshing    bool                  `json:"refreshing"`
	Error         *DirectoryError       `json:"error" doc:"Why the last reading failed, or what it left out"`
}

// DirectoryError says in words why a directory could not be read, or not all
// of it.
type DirectoryError struct {
	Errcode *int       `json:"errcode"`
	SeenIP  *string    `json:"seen_ip" doc:"The address that WeCom saw"`
	Message string     `json:"message"`
	Fix     string     `json:"fix"`
	At      *time.Time `json:"at"`
}

// directoryApp is the app in the path, if the caller may know of it.
func (s *Server) directoryApp(r *request) (string, error) {
	key := r.PathValue("key")
	if !validKey(key) {
		return "", absent(domain.ResourceApp, cut(key, maxKey))
	}
	if r.caller.Limited() {
		if _, err := s.find(r, domain.ResourceApp, key); err != nil {
			return "", err
		}
	}
	if s.cfg.Directory == nil {
		return "", errNoService
	}
	return key, nil
}

func getDirectory(s *Server, w http.ResponseWriter, r *request) error {
	key, err := s.directoryApp(r)
	if err != nil {
		return err
	}
	return s.replyDirectory(w, r, key)
}

func refreshDirectory(s *Server, w http.ResponseWriter, r *request) error {
	if err := s.decode(w, r, emptyShape, true, &struct{}{}); err != nil {
		return err
	}
	key, err := s.directoryApp(r)
	if err != nil {
		return err
	}
	ctx, cancel := s.patience(r, refreshWait)
	defer cancel()
	err = s.cfg.Directory.Refresh(ctx, key)
	if d, ok := errors.AsType[*domain.Error](err); ok {
		return d
	}
	return s.replyDirectory(w, r, key) // which tells how it ended, or that it goes on
}

func (s *Server) replyDirectory(w http.ResponseWriter, r *request, key string) error {
	d, err := s.cfg.Directory.Status(r.Context(), key)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, AppDirectory{
		State: d.State, Members: d.Members, Departments: d.Departments, Tags: d.Tags,
		FetchedAt: timeOrNil(d.FetchedAt), NextRefreshAt: timeOrNil(d.NextRefreshAt), Refreshing: d.Refreshing,
		Error: directoryError(d.Failure, r.language()),
	})
}

func directoryError(f domain.DirectoryFailure, lang i18n.Lang) *DirectoryError {
	if f.Class == "" {
		return nil
	}
	out := &DirectoryError{Errcode: orNil(f.Errcode), SeenIP: orNil(f.SeenIP), At: timeOrNil(f.At)}
	message, fix := directoryTexts(f)
	if e, ok := wecom.Lookup(f.Errcode); ok && f.Errcode != 0 {
		message, fix = i18n.Pair{EN: e.EN.Meaning, ZH: e.ZH.Meaning}, i18n.Pair{EN: e.EN.Fix, ZH: e.ZH.Fix}
	}
	out.Message, out.Fix = sentence(message.In(lang), lang), sentence(fix.In(lang), lang)
	return out
}

// directoryTexts explains what has no place in the table of errcodes.
func directoryTexts(f domain.DirectoryFailure) (message, fix i18n.Pair) {
	again := i18n.Pair{
		EN: "It is tried again at next_refresh_at; hongyan doctor checks the way to WeCom.",
		ZH: "将在 next_refresh_at 重试；可用 hongyan doctor 检查到企业微信的网络。",
	}
	switch {
	case f.Class == domain.DirectoryLimit:
		message.EN = "The directory is larger than what is read. Departments that were read are counted exactly; the others and @all as if they reached everybody."
		message.ZH = "通讯录超出了读取上限。已读取的部门会精确计数，其余部门和 @all 按可能到达所有人计数。"
		fix.EN = "Make the app's visible range smaller in WeCom's console, or send to departments instead of @all."
		fix.ZH = "请在企业微信管理后台缩小应用的可见范围，或改为发给部门而不是 @all。"
	case f.Errcode != 0:
		code := strconv.Itoa(f.Errcode)
		message.EN, message.ZH, fix = "WeCom answered errcode "+code+": "+f.Errmsg, "企业微信返回错误码 "+code+"："+f.Errmsg, again
	case f.Class == string(wecom.ClassConfig):
		message = i18n.Pair{EN: "The app's connection settings are not usable.", ZH: "应用的连接设置无法使用。"}
		fix = i18n.Pair{EN: "Correct base_url and proxy of the app.", ZH: "请更正应用的 base_url 与 proxy。"}
	default:
		message.EN = "WeCom could not be reached, or its answer could not be used: " + f.Errmsg
		message.ZH, fix = "无法连接企业微信，或其应答无法使用："+f.Errmsg, again
	}
	return message, fix
}
