package i18n

import "sort"

// problem is the text of one error code.
type problem struct {
	title  Pair
	detail Pair // general sentence
	args   Pair // sentence with arguments; empty when there is none
	fix    Pair
}

var problems = map[string]problem{
	"malformed_json": {
		title:  Pair{"The body is not JSON", "请求体不是合法的 JSON"},
		detail: Pair{"The request body could not be read as JSON.", "请求体无法按 JSON 解析。"},
		fix:    Pair{"Send one JSON object in UTF-8, and check quotes, commas and brackets at that place.", "请以 UTF-8 发送一个 JSON 对象，并检查该位置的引号、逗号与括号。"},
	},
	"key_in_url": {
		title:  Pair{"A key stands in the URL", "URL 中出现了密钥"},
		detail: Pair{"Keys are never accepted in a URL: proxies and logs keep URLs.", "不接受放在 URL 中的密钥，因为代理与日志会保存 URL。"},
		fix:    Pair{"Send it as the header Authorization: Bearer hy_…, and replace this key: it may have been logged on the way.", "请改用请求头 Authorization: Bearer hy_…，并更换该密钥，它可能已被沿途的日志记录。"},
	},
	"idempotency_required": {
		title:  Pair{"An Idempotency-Key is required", "缺少 Idempotency-Key"},
		detail: Pair{"This scene refuses requests without an Idempotency-Key header.", "该场景拒绝没有 Idempotency-Key 请求头的请求。"},
		fix:    Pair{"Add the header Idempotency-Key with a value that is the same for every repeat of this request.", "请添加请求头 Idempotency-Key，同一请求的每次重试使用同一个值。"},
	},
	"unauthorized": {
		title:  Pair{"No valid API key", "缺少有效的 API 密钥"},
		detail: Pair{"The request carries no API key, or one that is unknown, expired or revoked.", "请求没有携带 API 密钥，或该密钥不存在、已过期或已吊销。"},
		fix:    Pair{"Send Authorization: Bearer hy_… with a live key; an administrator makes one with POST /v1/keys.", "请使用有效密钥发送 Authorization: Bearer hy_…；管理员可通过 POST /v1/keys 创建。"},
	},
	"forbidden": {
		title:  Pair{"The key may not do this", "该密钥无权执行此操作"},
		detail: Pair{"The API key is valid, but this is outside its scopes, scenes, apps or networks.", "API 密钥有效，但此操作超出其权限、场景、应用或网络范围。"},
		args:   Pair{"This needs the scope {0}.", "此操作需要权限 {0}。"},
		fix:    Pair{"Use a key that is allowed to, or ask an administrator for one.", "请使用具备相应权限的密钥，或联系管理员。"},
	},
	"not_found": {
		title:  Pair{"Not found", "未找到"},
		detail: Pair{"There is no such path or object, or this key may not see it.", "路径或对象不存在，或该密钥无权查看。"},
		fix:    Pair{"Check the path and the id; /docs lists all paths.", "请检查路径与编号；/docs 列出了全部路径。"},
	},
	"scene_not_found": {
		title:  Pair{"Unknown scene", "场景不存在"},
		detail: Pair{"There is no scene with that key or code.", "没有该键或编号的场景。"},
		args:   Pair{"There is no scene {0}.", "没有场景 {0}。"},
		fix:    Pair{"GET /v1/scenes lists the scenes; PUT /v1/scenes/{key} creates one.", "GET /v1/scenes 可列出场景；PUT /v1/scenes/{key} 可创建。"},
	},
	"app_not_found": {
		title:  Pair{"Unknown app", "应用不存在"},
		detail: Pair{"There is no app with that key.", "没有该键的应用。"},
		args:   Pair{"There is no app {0}.", "没有应用 {0}。"},
		fix:    Pair{"GET /v1/apps lists the apps; PUT /v1/apps/{key} creates one.", "GET /v1/apps 可列出应用；PUT /v1/apps/{key} 可创建。"},
	},
	"method_not_allowed": {
		title:  Pair{"Wrong method", "请求方法不被允许"},
		detail: Pair{"This path exists, but not with this method.", "该路径存在，但不支持此请求方法。"},
		args:   Pair{"This path knows {0}.", "该路径支持 {0}。"},
		fix:    Pair{"Use one of the methods in the Allow header.", "请使用 Allow 响应头中列出的方法。"},
	},
	"conflict": {
		title:  Pair{"The state forbids it", "当前状态不允许"},
		detail: Pair{"The object is in a state in which this cannot be done.", "对象当前的状态不允许此操作。"},
		fix:    Pair{"Read the object again and decide anew.", "请重新读取该对象后再决定。"},
	},
	"in_use": {
		title:  Pair{"It is in use", "仍在使用中"},
		detail: Pair{"Something live needs it.", "仍有对象依赖它。"},
		fix:    Pair{"Change or delete what uses it first; a schedule may also be switched off, and messages that wait be cancelled or waited for.", "请先修改或删除使用它的对象；定时任务也可以先停用；等待发送的消息（message）可以先取消，或等它们结束。"},
	},
	"not_held": {
		title:  Pair{"Nothing is held", "没有待人工决定的投递"},
		detail: Pair{"Nothing of this message waits for a decision: that happens only when nobody knows whether WeCom has it and its policy says hold.", "该消息没有待人工决定的投递：仅当无法得知企业微信是否已收到、且策略为 hold 时才会如此。"},
		fix:    Pair{"Read the message: state and wait_reason say where it stands.", "请查看该消息：state 与 wait_reason 说明它的进展。"},
	},
	"precondition_failed": {
		title:  Pair{"Somebody was faster", "对象已被他人修改"},
		detail: Pair{"The object is not, or no longer, the version named in If-Match.", "对象已不是 If-Match 指明的版本。"},
		fix:    Pair{"GET it, make the change again on what is there now, and use its new ETag.", "请重新 GET，在最新内容上再次修改，并使用新的 ETag。"},
	},
	"too_large": {
		title:  Pair{"Too large", "请求过大"},
		detail: Pair{"The request is larger than this path accepts.", "请求超出了该路径允许的大小。"},
		fix:    Pair{"Send less at once; large files go through POST /v1/media, one by one.", "请减小单次请求；大文件请逐个通过 POST /v1/media 上传。"},
	},
	"unsupported_media_type": {
		title:  Pair{"Wrong content type", "内容类型不受支持"},
		detail: Pair{"The body has a Content-Type or Content-Encoding that this path does not read.", "该路径不接受此 Content-Type 或 Content-Encoding。"},
		args:   Pair{"This path reads {0}.", "该路径接受 {0}。"},
		fix:    Pair{"Send the type named here, without a Content-Encoding.", "请使用此处说明的类型，且不要设置 Content-Encoding。"},
	},
	"invalid": {
		title:  Pair{"The request is not valid", "请求内容不合法"},
		detail: Pair{"The request can be read, but something in it is wrong; errors names each field.", "请求可以读取，但内容有误；errors 列出了每个字段。"},
		fix:    Pair{"Correct the fields named in errors and send it again. Nothing was stored.", "请修正 errors 中的字段后重新发送。没有保存任何内容。"},
	},
	"idempotency_mismatch": {
		title:  Pair{"The Idempotency-Key was used for something else", "Idempotency-Key 已用于其他请求"},
		detail: Pair{"This API key sent another body with the same Idempotency-Key before.", "该 API 密钥此前用同一个 Idempotency-Key 发送过不同的请求体。"},
		fix:    Pair{"Use a new Idempotency-Key for a new request; repeat the old one only with the same body.", "新请求请使用新的 Idempotency-Key；重试时请求体必须相同。"},
	},
	"rate_limited": {
		title:  Pair{"Too many requests", "请求过于频繁"},
		detail: Pair{"This API key sends more requests than it may.", "该 API 密钥的请求超过了允许的频率。"},
		args:   Pair{"This API key may make {0} requests a minute; a batch counts its messages.", "该 API 密钥每分钟最多 {0} 次请求，批量请求按消息数计。"},
		fix:    Pair{"Wait as long as Retry-After says. Nothing was stored. RateLimit in every answer tells what is left.", "请按 Retry-After 等待，没有保存任何内容。每个响应的 RateLimit 都给出剩余次数。"},
	},
	"unavailable": {
		title:  Pair{"Not available now", "暂时不可用"},
		detail: Pair{"The gateway cannot do this now. Nothing was stored, unless an Idempotency-Key says otherwise on repeat.", "网关暂时无法处理。除非用同一 Idempotency-Key 重试得到已受理的结果，否则没有保存任何内容。"},
		fix:    Pair{"Repeat it with the same Idempotency-Key after the time in Retry-After.", "请在 Retry-After 之后用同一个 Idempotency-Key 重试。"},
	},
	"timeout": {
		title:  Pair{"The body came too slowly", "请求体发送过慢"},
		detail: Pair{"The request body was not complete in time.", "请求体未能在规定时间内发送完毕。"},
		fix:    Pair{"Send it again over a faster connection, or in smaller parts.", "请使用更快的连接重试，或减小请求体。"},
	},
	"disk_full": {
		title:  Pair{"The disk is full", "磁盘已满"},
		detail: Pair{"The gateway has no room to store this safely, so it did not accept it.", "网关没有空间可靠地保存此内容，因此没有受理。"},
		fix:    Pair{"Free space on the data volume; then repeat the request with the same Idempotency-Key.", "请清理数据盘空间，然后用同一个 Idempotency-Key 重试。"},
	},
	"internal": {
		title:  Pair{"Internal error", "内部错误"},
		detail: Pair{"Something went wrong inside the gateway; the log has the cause under this request_id.", "网关内部出错；可用 request_id 在日志中查到原因。"},
		fix:    Pair{"Repeat it with the same Idempotency-Key; if it stays, give the request_id to the operator.", "请用同一个 Idempotency-Key 重试；若仍失败，请把 request_id 交给运维人员。"},
	},
}

// Problem is the text of an error in one language.
type Problem struct{ Title, Detail, Fix string }

// ProblemText returns the text for an error code. With arguments the detail
// uses them where the code has such a text. ok is false for an unknown code,
// whose text is that of "internal".
func ProblemText(l Lang, code string, args []any) (p Problem, ok bool) {
	t, ok := problems[code]
	if !ok {
		t = problems["internal"]
	}
	p = Problem{Title: t.title.In(l), Detail: t.detail.In(l), Fix: t.fix.In(l)}
	if len(args) > 0 && t.args.EN != "" {
		if s, filled := fill(t.args.In(l), args); filled {
			p.Detail = s
		}
	}
	return p, ok
}

// ProblemCodes lists every code that has a text, sorted.
func ProblemCodes() []string {
	out := make([]string, 0, len(problems))
	for c := range problems {
		out = append(out, c)
	}
	sort.Strings(out)
	return out
}
