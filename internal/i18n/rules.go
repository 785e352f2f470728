package i18n

import (
	"regexp"
	"sort"
)

// rule is the text of one field rule: a predicate about the field ("is
// missing") and what to do. The args forms are used when enough arguments
// came; by convention the first is the limit or the choice, the second what
// was seen.
type rule struct {
	message, args  Pair
	fix, fixedArgs Pair
}

var rules = map[string]rule{
	"required":     {message: Pair{"is missing", "缺少必填项"}, fix: Pair{"add it", "请补充该字段"}},
	"unknown":      {message: Pair{"is not known here", "未知字段或对象"}, fix: Pair{"remove it or check its spelling", "请删除或检查拼写"}, fixedArgs: Pair{"use one of: {0}", "可用的有：{0}"}},
	"did_you_mean": {message: Pair{"is not a known field", "未知字段"}, fix: Pair{"check its spelling", "请检查拼写"}, fixedArgs: Pair{"did you mean {0}?", "是否想写 {0}?"}},
	"type":         {message: Pair{"has the wrong type", "类型不正确"}, args: Pair{"must be {0}, not {1}", "必须是 {0}，而不是 {1}"}, fix: Pair{"send the right type", "请使用正确的类型"}, fixedArgs: Pair{"send {0}", "请使用 {0}"}},
	"duplicate":    {message: Pair{"appears twice", "重复出现"}, fix: Pair{"keep one", "请只保留一个"}},
	"depth":        {message: Pair{"is nested too deeply", "嵌套过深"}, args: Pair{"is nested deeper than {0} levels", "嵌套超过 {0} 层"}, fix: Pair{"flatten it", "请减少嵌套层数"}},
	"enum":         {message: Pair{"is not one of the allowed values", "不是允许的取值"}, args: Pair{"is not one of {0}", "不是允许的取值：{0}"}, fix: Pair{"use an allowed value", "请使用允许的取值"}, fixedArgs: Pair{"use one of: {0}", "可用的取值：{0}"}},
	"const":        {message: Pair{"is not the one allowed value", "不是唯一允许的值"}, args: Pair{"must be {0}", "必须是 {0}"}, fix: Pair{"use the allowed value", "请使用允许的值"}},
	"format":       {message: Pair{"has the wrong format", "格式不正确"}, args: Pair{"is not {0}", "不符合格式：{0}"}, fix: Pair{"write it in the documented format", "请按文档规定的格式填写"}},
	"pattern":      {message: Pair{"does not match the required pattern", "不符合要求的模式"}, args: Pair{"does not match {0}", "不符合模式 {0}"}, fix: Pair{"write it so that it matches", "请按该模式填写"}},
	"range":        {message: Pair{"is out of range", "超出允许范围"}, args: Pair{"must be between {0} and {1}", "必须在 {0} 与 {1} 之间"}, fix: Pair{"choose a value inside the range", "请使用范围内的值"}},
	"minimum":      {message: Pair{"is too small", "过小"}, args: Pair{"must be at least {0}", "至少为 {0}"}, fix: Pair{"choose a larger value", "请使用更大的值"}},
	"maximum":      {message: Pair{"is too large", "过大"}, args: Pair{"must be at most {0}", "最多为 {0}"}, fix: Pair{"choose a smaller value", "请使用更小的值"}},
	"multiple_of":  {message: Pair{"is not a multiple of the step", "不是步长的整数倍"}, args: Pair{"must be a multiple of {0}", "必须是 {0} 的整数倍"}, fix: Pair{"round it", "请取整到步长"}},
	"min_length":   {message: Pair{"is too short", "过短"}, args: Pair{"must have at least {0} characters", "至少 {0} 个字符"}, fix: Pair{"make it longer", "请加长"}},
	"max_length":   {message: Pair{"is too long", "过长"}, args: Pair{"may have at most {0} characters", "最多 {0} 个字符"}, fix: Pair{"shorten it", "请缩短"}},
	"min_bytes":    {message: Pair{"is too small", "过小"}, args: Pair{"must have at least {0} bytes", "至少 {0} 字节"}, fix: Pair{"send more", "请发送完整内容"}},
	"max_bytes":    {message: Pair{"is too long", "过长"}, args: Pair{"may have at most {0} bytes in UTF-8, and has {1}", "按 UTF-8 最多 {0} 字节，实际 {1} 字节"}, fix: Pair{"shorten it", "请缩短"}},
	"min_items":    {message: Pair{"has too few items", "条目过少"}, args: Pair{"must have at least {0} items", "至少 {0} 项"}, fix: Pair{"add items", "请增加条目"}},
	"max_items":    {message: Pair{"has too many items", "条目过多"}, args: Pair{"may have at most {0} items", "最多 {0} 项"}, fix: Pair{"send fewer items at once", "请减少单次条目数"}},
	"unique":       {message: Pair{"has equal items", "存在重复条目"}, fix: Pair{"keep each item once", "请保证各条目互不相同"}},
	"min_fields":   {message: Pair{"has too few fields", "字段过少"}, args: Pair{"must have at least {0} fields", "至少 {0} 个字段"}, fix: Pair{"add fields", "请增加字段"}},
	"max_fields":   {message: Pair{"has too many fields", "字段过多"}, args: Pair{"may have at most {0} fields", "最多 {0} 个字段"}, fix: Pair{"remove fields", "请减少字段"}},
	"forbidden":    {message: Pair{"is not allowed here", "此处不允许"}, args: Pair{"is for {0} only", "仅 {0} 支持"}, fix: Pair{"leave it out", "请去掉该字段"}},
	"exclusive":    {message: Pair{"cannot stand together with another field", "不能与其他字段同时出现"}, args: Pair{"cannot stand together with {0}", "不能与 {0} 同时出现"}, fix: Pair{"keep one of them", "请只保留其中之一"}},
	"one_of":       {message: Pair{"fits none, or more than one, of the allowed forms", "不符合任何一种允许的形式，或同时符合多种"}, args: Pair{"needs exactly one of {0}", "须且仅须包含其一：{0}"}, fix: Pair{"use one documented form", "请使用文档中的一种形式"}},
	"schema":       {message: Pair{"does not fit the schema", "不符合 schema"}, fix: Pair{"compare it with the scene's variables", "请对照场景的 variables"}},
	"utf8":         {message: Pair{"is not valid UTF-8", "不是合法的 UTF-8"}, fix: Pair{"encode the text as UTF-8", "请以 UTF-8 编码"}},
	"control":      {message: Pair{"contains control characters", "含有控制字符"}, fix: Pair{"remove them", "请去除控制字符"}},
	"nul":          {message: Pair{"contains the character U+0000", "含有字符 U+0000"}, fix: Pair{"remove it", "请去除该字符"}},
	"surrogate":    {message: Pair{"contains half of a surrogate pair, which is no character", "含有不成对的代理项（surrogate），它不是字符"}, fix: Pair{"write characters above U+FFFF in UTF-8, or as both halves; texts must not be cut between them", "U+FFFF 以上的字符请以 UTF-8 书写，或写成完整的一对；截断文本时不要拆开"}},
	"scheme":       {message: Pair{"has a URL scheme that is not allowed", "URL 协议不被允许"}, args: Pair{"must be a URL with the scheme {0}", "URL 协议必须是 {0}"}, fix: Pair{"use an allowed scheme", "请使用允许的协议"}},
	"url":          {message: Pair{"is not a URL", "不是合法的 URL"}, fix: Pair{"write it in full, with http:// or https://", "请填写完整的 http:// 或 https:// 地址"}},
	"port":         {message: Pair{"has a port that does not exist", "端口号无效"}, fix: Pair{"choose a port from 1 to 65535", "请使用 1 到 65535 之间的端口"}},
	"department":   {message: Pair{"is not the id of a department", "不是部门 ID"}, fix: Pair{"use the number that WeCom shows, such as 2", "请使用企业微信显示的部门编号，如 2"}},
	"unreachable":  {message: Pair{"could not be downloaded", "无法下载"}, fix: Pair{"check the URL; private addresses need HONGYAN_EGRESS_ALLOW", "请检查 URL；内网地址需要 HONGYAN_EGRESS_ALLOW"}},
	"media":        {message: Pair{"is not usable media", "不是可用的媒体"}, fix: Pair{"give url, base64 with filename, or upload", "请提供 url、base64 加 filename，或 upload"}},
	"media_type":   {message: Pair{"is a kind of file that WeCom does not take here", "企业微信在此处不接受该类型的文件"}, args: Pair{"must be {0}, not {1}", "必须是 {0}，而不是 {1}"}, fix: Pair{"convert it, or send it as a file", "请转换格式，或以 file 类型发送"}},
	"multipart":    {message: Pair{"is not a usable multipart body", "不是可用的 multipart 请求体"}, fix: Pair{"send multipart/form-data with one part named media and a filename", "请以 multipart/form-data 发送一个名为 media 且带文件名的部分"}},

	"unknown_scene":    {message: Pair{"there is no such scene", "没有这个场景"}, fix: Pair{"list them with GET /v1/scenes", "可用 GET /v1/scenes 列出"}},
	"unknown_app":      {message: Pair{"there is no such app", "没有这个应用"}, fix: Pair{"list them with GET /v1/apps", "可用 GET /v1/apps 列出"}},
	"unknown_audience": {message: Pair{"there is no such audience", "没有这个接收组"}, fix: Pair{"list them with GET /v1/audiences", "可用 GET /v1/audiences 列出"}},
	"unknown_robot":    {message: Pair{"there is no such robot", "没有这个机器人"}, fix: Pair{"list them with GET /v1/robots", "可用 GET /v1/robots 列出"}},
	"kind":             {message: Pair{"cannot get messages of this type", "不能接收此类型的消息"}, args: Pair{"cannot get {0}", "不能接收 {0}"}, fix: Pair{"send another type", "请改用其他类型"}, fixedArgs: Pair{"send one of: {1}", "可用的类型：{1}"}},
	"unknown_upload":   {message: Pair{"is not an upload that still exists", "上传的文件不存在或已过期"}, fix: Pair{"upload the file again with POST /v1/media", "请用 POST /v1/media 重新上传文件"}},
	"proxy_password":   {message: Pair{"has a masked password, and none is stored for this URL", "密码已被遮盖，且没有为此 URL 保存过密码"}, fix: Pair{"give the password: *** keeps the stored one while scheme, user and host stay as they are", "请填写密码：只有在协议、用户和主机都不变时，*** 才表示保留已保存的密码"}},
	"secret_moves":     {message: Pair{"is kept, and base_url or proxy would send it somewhere else", "沿用已保存的密钥，但 base_url 或 proxy 会把它发往别处"}, fix: Pair{"give the secret anew, or use a key of scope admin", "请重新填写密钥，或使用带 admin 权限的密钥"}},
	"unsupported":      {message: Pair{"is not supported", "暂不支持"}, fix: Pair{"leave it out", "请去掉该字段"}},
	"cycle":            {message: Pair{"contains itself", "包含了自身"}, fix: Pair{"break the circle", "请去除循环引用"}},
	"conflict":         {message: Pair{"is taken by another object", "已被其他对象占用"}, fix: Pair{"choose another value", "请使用其他值"}},
	"immutable":        {message: Pair{"cannot be changed", "不可修改"}, fix: Pair{"keep its value, or make a new object", "请保留原值，或新建对象"}},
	"key":              {message: Pair{"is not a usable key", "不是可用的键"}, fix: Pair{"use 1–64 of a–z, 0–9, ., - and _, beginning with a letter or digit", "请使用 1–64 个 a–z、0–9、.、- 或 _，以字母或数字开头"}},
	"mismatch":         {message: Pair{"does not agree with the path", "与路径不一致"}, args: Pair{"must be {0}, as in the path", "必须是 {0}，与路径一致"}, fix: Pair{"leave it out or make it equal", "请去掉或改为一致"}},
	"cursor":           {message: Pair{"is not a cursor of this list", "不是该列表的游标"}, fix: Pair{"use next_cursor of the page before, unchanged", "请原样使用上一页的 next_cursor"}},
	"idempotency_key":  {message: Pair{"must be one text of 1 to 255 characters without control characters", "必须是 1 至 255 个字符、不含控制字符的单个文本"}, args: Pair{"must be one text of 1 to {0} characters without control characters", "必须是 1 至 {0} 个字符、不含控制字符的单个文本"}, fix: Pair{"make a shorter one, such as a UUID", "请使用更短的值，例如 UUID"}},
	"event_id":         {message: Pair{"is not the id of an event of this stream", "不是该事件流中事件的 id"}, fix: Pair{"give the id of the last event seen, or leave it out", "请填写最后收到的事件 id，或不填"}},
	"time":             {message: Pair{"is not an RFC 3339 time with a zone", "不是带时区的 RFC 3339 时间"}, fix: Pair{"write it like 2026-11-24T09:00:00+08:00", "写法如 2026-11-24T09:00:00+08:00"}},
	"duration":         {message: Pair{"is not a duration", "不是时长"}, fix: Pair{"write it like 90s, 5m or 1h", "写法如 90s、5m、1h"}},
	"cron":             {message: Pair{"is not a cron expression", "不是合法的 cron 表达式"}, args: Pair{"is not a cron expression: {0}", "不是合法的 cron 表达式：{0}"}, fix: Pair{"give five fields such as 0 9 * * 1-5, or @daily", "请填写五个字段（分 时 日 月 周），如 0 9 * * 1-5，或 @daily"}},
	"cron_never":       {message: Pair{"never comes about", "永远不会到来"}, fix: Pair{"check day and month", "请检查日期与月份"}},
	"zone":             {message: Pair{"is not an IANA time zone", "不是 IANA 时区名"}, fix: Pair{"write it like Asia/Shanghai or Europe/Berlin", "写法如 Asia/Shanghai、Europe/Berlin"}},
	"network":          {message: Pair{"is not a network", "不是网段"}, fix: Pair{"write it like 10.0.0.0/8", "写法如 10.0.0.0/8"}},
	"expires_first":    {message: Pair{"is not shorter than expires_in: messages expire before their digest goes out", "不短于 expires_in：消息会在合并发送之前过期"}, fix: Pair{"choose a shorter window or a longer expires_in", "请缩短窗口或延长 expires_in"}},
	"no_effect":        {message: Pair{"has no effect here", "在此处不起作用"}, fix: Pair{"leave it out", "请去掉该字段"}},
	"past":             {message: Pair{"lies in the past", "是过去的时间"}, fix: Pair{"choose a later time", "请使用将来的时间"}},

	"json":             {message: Pair{"is not JSON", "不是合法的 JSON"}, fix: Pair{"write it as JSON", "请填写合法的 JSON"}},
	"template":         {message: Pair{"is not a usable template", "模板不可用"}, args: Pair{"is not a usable template: {0}", "模板不可用：{0}"}, fix: Pair{"correct the template", "请修正模板"}},
	"template_missing": {message: Pair{"uses a value that is not there", "使用了不存在的变量"}, args: Pair{"uses {0}, which is not there", "使用了不存在的变量 {0}"}, fix: Pair{"send the value, or use default", "请提供该值，或使用 default"}},
	"template_name":    {message: Pair{"uses a name that does not exist", "使用了不存在的名称"}, args: Pair{"uses {0}, which does not exist", "使用了不存在的 {0}"}, fix: Pair{"use .data, .scene or .now", "请使用 .data、.scene 或 .now"}, fixedArgs: Pair{"use {1}", "请使用 {1}"}},
	"template_time":    {message: Pair{"takes too long to render", "渲染超时"}, fix: Pair{"simplify the template", "请简化模板"}},
	"template_size":    {message: Pair{"renders to too much text", "渲染结果过大"}, fix: Pair{"shorten the template or its data", "请缩短模板或数据"}},
}

// RuleText returns message and fix for a field rule. Codes may carry a
// hyphen or be in camel case (maxLength): they are read as snake case. ok is
// false for an unknown rule; then both texts are empty.
func RuleText(l Lang, code string, args []any) (message, fix string, ok bool) {
	r, ok := rules[canonicalRule(code)]
	if !ok {
		return "", "", false
	}
	message, fix = r.message.In(l), r.fix.In(l)
	if len(args) > 0 {
		if r.args.EN != "" {
			if s, filled := fill(r.args.In(l), args); filled {
				message = s
			}
		}
		if r.fixedArgs.EN != "" {
			if s, filled := fill(r.fixedArgs.In(l), args); filled {
				fix = s
			}
		}
	}
	return message, fix, true
}

// Rules lists every rule that has a text, sorted.
func Rules() []string {
	out := make([]string, 0, len(rules))
	for c := range rules {
		out = append(out, c)
	}
	sort.Strings(out)
	return out
}

// aliases are words that JSON Schema and others use for the same rules.
var aliases = map[string]string{
	"additional_properties": "unknown", "unknown_field": "unknown", "unique_items": "unique",
	"min_properties": "min_fields", "max_properties": "max_fields", "any_of": "one_of",
	"exclusive_minimum": "minimum", "exclusive_maximum": "maximum", "missing": "required",
	"not_found": "unknown", "too_many": "max_items", "too_long": "max_bytes", "too_large": "maximum",
	"dependent_required": "required", "url_scheme": "scheme", "empty": "required", "not": "forbidden",
}

var camel = regexp.MustCompile(`([a-z0-9])([A-Z])`)

func canonicalRule(code string) string {
	if _, ok := rules[code]; ok {
		return code
	}
	b := []byte(camel.ReplaceAllString(code, "${1}_${2}"))
	for i, c := range b {
		switch {
		case c >= 'A' && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case c == '-':
			b[i] = '_'
		}
	}
	s := string(b)
	if a, ok := aliases[s]; ok {
		return a
	}
	return s
}
