package i18n

import "sort"

// warnings are about requests that are allowed and may surprise.
var warnings = map[string]Pair{
	"cut_bytes":              {"{0} is cut from {1} to {2} bytes", "{0} 将从 {1} 字节截断为 {2} 字节"},
	"cut_characters":         {"{0} is cut from {1} to {2} characters", "{0} 将从 {1} 个字符截断为 {2} 个字符"},
	"split":                  {"/content/content has {0} bytes and goes out as {1} messages", "/content/content 有 {0} 字节，将分为 {1} 条消息发送"},
	"expires_in_quiet_hours": {"it expires before the quiet hours end", "消息会在免打扰时段结束前过期"},
	"expires_before_digest":  {"it may expire before its digest goes out", "消息可能在合并发送之前过期"},
	"digest_key_unused":      {"digest_key has no effect: the scene has no digest policy", "digest_key 不起作用：该场景没有合并（digest）策略"},
}

// WarningText is the text of a warning. An unknown code is shown as it is.
func WarningText(l Lang, code string, args []any) string {
	p, ok := warnings[code]
	if !ok {
		return code
	}
	if s, filled := fill(p.In(l), args); filled {
		return s
	}
	return p.In(l)
}

// Warnings lists every warning that has a text, sorted.
func Warnings() []string {
	out := make([]string, 0, len(warnings))
	for c := range warnings {
		out = append(out, c)
	}
	sort.Strings(out)
	return out
}
