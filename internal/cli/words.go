package cli

import (
	"errors"
	"fmt"
	"strings"
)

// told is an error of the command line's own, kept as what it is made of: it is
// put into words for the person in front of it. Error is English.
type told struct {
	error
	format string
	args   []any
}

// Unwrap gives the cause that %w names.
func (e told) Unwrap() error { return errors.Unwrap(e.error) }

func errorf(format string, args ...any) error {
	return told{fmt.Errorf(format, args...), format, args}
}

// exitError ends a command with a code; without a cause everything was said.
type exitError struct {
	code  int
	cause error
}

func (e exitError) Error() string {
	if e.cause == nil {
		return ""
	}
	return e.cause.Error()
}

func usagef(format string, args ...any) error {
	return exitError{ExitUsage, errorf(format, args...)}
}

func failf(format string, args ...any) error {
	return exitError{ExitFailure, errorf(format, args...)}
}

// word gives a format in the person's language. What has no Chinese form is said
// in English.
func (s *session) word(format string) string {
	if s.zh() {
		if zh, ok := chinese[format]; ok {
			return zh
		}
	}
	return format
}

// text puts an error into words.
func (s *session) text(err error) string {
	switch e := err.(type) { //nolint:errorlint // each layer has words of its own
	case told:
		args := make([]any, len(e.args))
		for i, a := range e.args {
			if cause, ok := a.(error); ok {
				a = s.text(cause)
			}
			args[i] = a
		}
		return fmt.Sprintf(strings.ReplaceAll(s.word(e.format), "%w", "%s"), args...)
	case interface{ Unwrap() []error }:
		var lines []string
		for _, x := range e.Unwrap() {
			lines = append(lines, s.text(x))
		}
		return strings.Join(lines, "\n")
	default:
		return err.Error()
	}
}

// chinese has what the command line says by its English format. The values stand
// in the same order, or are numbered.
var chinese = map[string]string{
	"there is nothing to apply in %s": "%s 中没有可以应用的内容",
	"%s:%d: %s/%s: warning: %s: %s":   "%s:%d: %s/%s：提醒：%s：%s",
	"%s:%d: %s/%s: %s":                "%s:%d: %s/%s：%s",
	"%s:%d: %s/%s: %s: %s":            "%s:%d: %s/%s：%s：%s",
	"%s:%d: %w":                       "%s:%d：%w",
	"%s: %s":                          "%s：%s",
	"%s: %v":                          "%s：%v",
	"%s:%d: %s/%s: this gateway has no kind %[3]s; it has %[5]s": "%s:%d: %s/%s：该网关没有 %[3]s 这种资源；它支持 %[5]s",
	"nothing was applied": "未应用任何内容",
	"%s:%d: %s/%s: could not be checked to the end: it needs %s, which would be created first": "%s:%d: %s/%s：无法完整检查：它依赖 %s，而后者会先被创建",
	"read %s: %w":                   "读取 %s 失败：%w",
	"read the gateway's answer: %w": "无法读懂网关的回答：%w",
	"%s is not a kind; give %s":     "没有 %s 这种资源；可以是 %s",
	"Try: %s --help":                "用法见：%s --help",
	"Is the gateway running there? Set HONGYAN_URL or --url to its address.": "网关在该地址运行吗？请用 HONGYAN_URL 或 --url 指定网关地址。",
	"Set HONGYAN_KEY, HONGYAN_KEY_FILE or --key-file to an API key.":         "请用 HONGYAN_KEY、HONGYAN_KEY_FILE 或 --key-file 提供 API 密钥。",
	"  status %d, code %s, request %s":                                       "  状态码 %d，代码 %s，请求 %s",
	"  read %s, next %s":                                                     "  读取于 %s，下次 %s",
	"when somebody needs it":                                                 "在需要时",
	"  being read now":                                                       "  正在读取",
	"  WeCom saw the address %s":                                             "  企业微信看到的来源地址：%s",
	"  WeCom answered errcode %d %s":                                         "  企业微信返回 errcode %d %s",
	"  fix: %s":                                                              "  解决办法：%s",
	"%s:%d: %s stands at %s already":                                         "%s:%d：%s 已出现在 %s",
	"more than %d documents":                                                 "文档超过 %d 个",
	"environment variable %s is not set":                                     "环境变量 %s 未设置",
	"%s is empty":                                                            "%s 是空的",
	"must be a text, {env: NAME} or {file: PATH}":                            "必须是文本、{env: 变量名} 或 {file: 路径}",
	"a document must be an object with kind and key":                         "文档必须是带有 kind 和 key 的对象",
	"kind is missing":                                                        "缺少 kind",
	"key is missing":                                                         "缺少 key",
	"kind %q is unknown; it must be one of %s":                               "未知的 kind %q；必须是 %s 之一",
	"warning: %s: %s":                                                        "提醒：%s：%s",
	"warning: %s":                                                            "提醒：%s",
	"hongyan: warning: %s":                                                   "hongyan：提醒：%s",
	"%s (%s): keep the key, it is not shown again":                           "%s（%s）：请保存好密钥，它不会再次显示",
	"there is no lane %s: hongyan lanes lists them all":                      "没有通道 %s：hongyan lanes 列出所有通道",
	"this errcode is not documented; WeCom's own lookup: https://open.work.weixin.qq.com/devtool/query": "该 errcode 没有文档说明；可用企业微信的查询工具：https://open.work.weixin.qq.com/devtool/query",
	"it is not final yet; see hongyan messages watch %s":                                                "消息尚未结束；请用 hongyan messages watch %s 继续查看",
	"this build has no server in it":                                                                    "此程序不含服务端",
	"nothing was done":                                                                                  "未做任何操作",
	"--limit must be 1 to 200, not %d":                                                                  "--limit 必须在 1 到 200 之间，不能是 %d",
	"more: add --cursor %s":                                                                             "还有更多：加上 --cursor %s",
	"%q is neither a time such as 2026-11-24T09:00:00+08:00 nor an age such as 2h":                      "%q 既不是 2026-11-24T09:00:00+08:00 这样的时间，也不是 2h 这样的时长",
	"%s has no scene %s":                                                                                "%s 中没有场景 %s",
	"%s is larger than %d bytes":                                                                        "%s 超过 %d 字节",
	"%s was accepted, but not seen to its end: %w":                                                      "%s 已被接收，但未能看到最终结果：%w",
	"%s was merged into %s, which was not seen to its end: %w":                                          "%s 已并入 %s，但未能看到后者的最终结果：%w",
	"the gateway does not answer":                                                                       "网关没有回应",
	"give either a scene or --text, --markdown, --type, not both":                                       "场景与 --text、--markdown、--type 只能二选一",
	"name a scene, or give --app or --robot with --text, --markdown or --type and --content":            "请指定场景，或用 --app、--robot 加上 --text、--markdown 或 --type 与 --content",
	"--content is not JSON":                                                                             "--content 不是 JSON",
	"give one of --text, --markdown, or --type with --content":                                          "请在 --text、--markdown、--type 加 --content 中选一种",
	"%s is not a JSON object: %v":                                                                       "%s 不是 JSON 对象：%v",
	"--data %q must be k=v, k:=json or @file":                                                           "--data %q 必须是 k=v、k:=json 或 @文件",
	"--data %s:= is not followed by JSON":                                                               "--data %s:= 后面不是 JSON",
	"The settings are good.":                                                                            "设置没有问题。",
	"%s Add --yes to do it.":                                                                            "%s 请加上 --yes 来执行。",
	"Revoke %s?":                                                                                        "吊销 %s？",
	"Delete %s/%s?":                                                                                     "删除 %s/%s？",
	"the document is too large or too deep":                                                             "文档过大或层次过深",
	"line %d: this cannot be written as JSON":                                                           "第 %d 行：无法写成 JSON",
	"line %d: a field name must be a text":                                                              "第 %d 行：字段名必须是文本",
	"line %d: merge keys (<<) are not supported":                                                        "第 %d 行：不支持合并键（<<）",
	"line %d: %s is given twice":                                                                        "第 %d 行：%s 出现了两次",
	"line %d: %s is not a JSON number":                                                                  "第 %d 行：%s 不是 JSON 数字",
}
