package i18n

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// details are what errors say of their occurrence, by the English format that
// the code gives to domain.Errorf. A test reads the code for them.
var details = map[string]string{
	"%d event streams are open already":                  "已有 %d 个事件流连接。",
	"%s %q does not exist":                               "%s %q 不存在。",
	"%s %q exists already":                               "%s %q 已存在。",
	"%s %q is at version %d, not %d":                     "%s %q 的版本是 %d，不是 %d。",
	"%s %q is not at version %d":                         "%s %q 的版本不是 %d。",
	"%s %q is used by %s":                                "%s %q 正被使用：%s。",
	"WeCom's error code %d is not in the table":          "企业微信错误码 %d 不在表中。",
	"a media file may have at most 20 MiB":               "媒体文件最大 20 MiB。",
	"a page of another origin may not send this request": "不允许其他来源的网页发送此请求。",
	"another process has taken the node name %q: each gateway beside one database needs a name of its own":                           "节点名 %q 已被另一个进程占用：共用一个数据库的每个网关都需要自己的名称。",
	"app %q still has 1 message to send; cancel it or wait until it has ended (GET /v1/messages?app=%s lists it)":                    "应用 %q 还有 1 条消息要发送；请取消它，或等它结束（GET /v1/messages?app=%s 可列出）。",
	"app %q still has %d messages to send; cancel them or wait until they have ended (GET /v1/messages?app=%s lists them)":           "应用 %q 还有 %d 条消息要发送；请取消它们，或等它们结束（GET /v1/messages?app=%s 可列出）。",
	"app %q still has more than %d messages to send; cancel them or wait until they have ended (GET /v1/messages?app=%s lists them)": "应用 %q 还有超过 %d 条消息要发送；请取消它们，或等它们结束（GET /v1/messages?app=%s 可列出）。",
	"the body is not JSON: %s at line %d, column %d":                                                                                 "请求体不是合法的 JSON：第 %[2]d 行第 %[3]d 列，%[1]s。",
	"something stands after the end of the value":                                                                                    "值结束之后还有内容。",
	"the body ends too early":                                                      "请求体过早结束。",
	"a value was expected":                                                         "此处应为一个值。",
	"nested deeper than is allowed":                                                "嵌套过深。",
	"a name in double quotes was expected":                                         "此处应为双引号中的名称。",
	"a colon was expected":                                                         "此处应为冒号。",
	"a comma or a closing bracket was expected":                                    "此处应为逗号或右括号。",
	"a digit was expected":                                                         "此处应为数字。",
	"a string is not valid UTF-8":                                                  "字符串不是合法的 UTF-8。",
	"a control character stands in a string":                                       "字符串中有控制字符。",
	"a string does not end":                                                        "字符串没有结束。",
	"four hexadecimal digits were expected":                                        "此处应为四位十六进制数字。",
	"an unknown escape stands in a string":                                         "字符串中有未知的转义。",
	"compressed bodies are not read":                                               "不接受压缩的请求体。",
	"delivery %s is not waiting any more":                                          "投递 %s 已不在等待。",
	"it was changed a moment ago; repeat the request":                              "对象刚刚被修改过，请重试。",
	"lane %s has moved to another node":                                            "通道 %s 已转移到另一个节点。",
	"lane %s has moved to another node; try again":                                 "通道 %s 已转移到另一个节点，请重试。",
	"message %s is already %s: only what WeCom does not have yet can be cancelled": "消息 %s 的状态已是 %s：只能取消企业微信尚未收到的内容。",
	"message %s is already %s: only what WeCom does not have yet can be cancelled, and what is in a group cannot be taken back, for WeCom gives it no msgid; correct it with another message": "消息 %s 的状态已是 %s：只能取消企业微信尚未收到的内容；群里的消息无法撤回，因为企业微信不为其返回 msgid；请另发一条消息更正。",
	"nobody is left to send to: every recipient was reached; use \"only\":\"all\" to repeat it for everyone":                                                                                  "没有需要再发送的接收人：所有人都已收到；如需对所有人重发，请使用 \"only\":\"all\"。",
	"nobody is left to send to now: the digest %s, which carries it, is still %s; wait until that has ended, or use \"only\":\"all\" to repeat it for everyone":                               "暂时没有需要再发送的接收人：承载它的合并消息 %s 的状态仍是 %s；请等它结束，或使用 \"only\":\"all\" 对所有人重发。",
	"not ready": "尚未就绪。",
	"nothing of message %s waits for a decision: it is %s":                              "消息 %s 没有待人工决定的投递：它的状态是 %s。",
	"of %d deliveries to merge %d still wait":                                           "要合并的 %d 个投递中只有 %d 个仍在等待。",
	"scene %q has no version %d":                                                        "场景 %q 没有版本 %d。",
	"scene %q has the code %d already":                                                  "场景 %q 已使用编号 %d。",
	"scene %q requires an Idempotency-Key header":                                       "场景 %q 要求 Idempotency-Key 请求头。",
	"the admin key must be hy_ and at least 32 URL-safe characters":                     "管理员密钥必须是 hy_ 加至少 32 个可用于 URL 的字符。",
	"the body ended before its announced length":                                        "请求体在声明的长度之前就结束了。",
	"the body may have at most %d bytes":                                                "请求体最多 %d 字节。",
	"the database cannot be reached":                                                    "无法连接数据库。",
	"the database has failed":                                                           "数据库出现故障。",
	"the database is busy":                                                              "数据库正忙。",
	"the database is closed":                                                            "数据库已关闭。",
	"the database took too long":                                                        "数据库响应超时。",
	"the directory has more than %d bytes":                                              "通讯录超过 %d 字节。",
	"the disk of the database is full":                                                  "数据库所在的磁盘已满。",
	"the file %s is gone":                                                               "文件 %s 已不存在。",
	"the file has more than %d bytes":                                                   "文件超过 %d 字节。",
	"the gateway is stopping":                                                           "网关正在停止。",
	"the idempotency key is just being forgotten; try again":                            "该幂等键正在被清理，请重试。",
	"the key %q is taken; leave it out to get another, or PUT to replace what is there": "键 %q 已被占用；请去掉它以获得另一个键，或用 PUT 替换已有对象。",
	"the key exists already as %s":                                                      "该密钥已存在，编号为 %s。",
	"the keys are not loaded yet":                                                       "密钥尚未加载。",
	"the keys cannot be read now":                                                       "暂时无法读取密钥。",
	"the master key does not fit this database: give the key that it was made with, or a ring that holds it": "主密钥与此数据库不符：请提供创建它时的主密钥，或包含该密钥的密钥环。",
	"the message is still %s; cancel it or wait until it has ended":                                          "消息的状态仍是 %s；请取消它，或等它结束。",
	"there are %d keys already":                       "已有 %d 个密钥。",
	"there is no %s %q":                               "没有 %s %q。",
	"there is no app %q":                              "没有应用 %q。",
	"there is no key %s":                              "没有密钥 %s。",
	"there is no message %s":                          "没有消息 %s。",
	"there is no scene %s":                            "没有场景 %s。",
	"there is no schedule %q":                         "没有定时任务 %q。",
	"there is no upload %s":                           "没有上传的文件 %s。",
	"this Idempotency-Key was used with another body": "此 Idempotency-Key 已用于不同的请求体。",
	"this key is limited to apps, and the other is not limited to some of them":                                                     "该密钥仅限部分应用，而另一个密钥没有限于其中的应用。",
	"this key is limited to apps, and the scene names none":                                                                         "该密钥仅限部分应用，而该场景没有指定应用。",
	"this key is limited to networks, and the other is not limited to parts of them":                                                "该密钥仅限部分网段，而另一个密钥没有限于这些网段之内。",
	"messages that robot %q still has to send: %d; cancel them or wait until they have ended (GET /v1/messages?user=%s lists them)": "机器人 %q 还有 %d 条消息要发送；请取消它们，或等它们结束（GET /v1/messages?user=%s 可列出）。",
	"this key is limited to apps, and the scene names robots":                                                                       "该密钥仅限部分应用，而该场景指定了机器人。",
	"this key is limited to apps and may not use robots":                                                                            "该密钥仅限部分应用，不能使用机器人。",
	"this key is limited to other apps":                                                                                             "该密钥仅限其他应用。",
	"this key is limited to other apps than that of the scene":                                                                      "该密钥仅限其他应用，不包括该场景的应用。",
	"this key is limited to other scenes":                                                                                           "该密钥仅限其他场景。",
	"this key is limited to scenes, and an app belongs to more than those":                                                          "该密钥仅限部分场景，而应用不只属于这些场景。",
	"this key is limited to scenes, and the other is not limited to some of them":                                                   "该密钥仅限部分场景，而另一个密钥没有限于其中的场景。",
	"this key is limited to some scenes or apps, and this belongs to none of them alone":                                            "该密钥仅限部分场景或应用，而此对象并不只属于它们。",
	"this key may not be used from this network":                                                                                    "该密钥不可从此网络使用。",
	"this key may not change schedule %q":                                                                                           "该密钥无权修改定时任务 %q。",
	"this key may not use app %q":                                                                                                   "该密钥无权使用应用 %q。",
	"this key may not use scene %q":                                                                                                 "该密钥无权使用场景 %q。",
	"this key may not use the message's scene or app":                                                                               "该密钥无权使用此消息的场景或应用。",
	"this key may only use its scenes, not direct content":                                                                          "该密钥只能使用其场景，不能直接发送内容。",
	"this part of the gateway is not running":                                                                                       "网关的这一部分没有运行。",
	"this setup link is used, too old or not complete; a restart of the gateway prints a new one as long as there is no admin key":  "此设置链接已使用、已过期或不完整；只要还没有管理员密钥，重启网关会输出新的链接。",
	"too many writes are waiting for the database":                                                                                  "等待数据库写入的请求过多。",
}

// DetailText says what an error says of its occurrence, from the format and the
// arguments that domain.Error.Said gives; arguments may be details, too. ok is
// false where a language has no words for it.
func DetailText(l Lang, format string, args []any) (text string, ok bool) {
	if l == ZH {
		if format, ok = details[format]; !ok {
			return "", false
		}
		args = slices.Clone(args)
		for i, a := range args {
			if s, isText := a.(string); isText && details[s] != "" {
				args[i] = strings.TrimSuffix(details[s], "。")
			}
		}
	}
	if len(args) == 0 {
		return format, true
	}
	return fmt.Sprintf(format, args...), true
}

// Details lists the English format of every detail that has a text, sorted.
func Details() []string {
	out := make([]string, 0, len(details))
	for f := range details {
		out = append(out, f)
	}
	sort.Strings(out)
	return out
}
