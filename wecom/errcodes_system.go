package wecom

// systemRows are success, tokens, trouble inside WeCom, quotas and sessions.
var systemRows = []row{
	{
		0, ClassOK, "ok", byNobody,
		"WeCom took the call.", "企业微信已受理。",
		"Nothing to do; still look at the lists of invalid recipients.", "无需处理；仍应查看返回的无效接收人名单。",
	},
	{
		40014, ClassToken, "invalid_token", byNobody,
		"The access token is not one that WeCom knows, often because it has run out.", "access_token 不被承认，多半是已经过期。",
		"A new token is fetched and the call repeated by itself. If it stays, check that no other program writes a wrong token into the shared Redis key.", "网关会自动换取新凭证并重试一次。若持续出现，请检查是否有其他程序向共享的 Redis 键写入了错误凭证。",
	},
	{
		42001, ClassToken, "token_expired", byNobody,
		"The access token has run out.", "access_token 已过期。",
		"A new token is fetched and the call repeated by itself. If it stays, compare the clock of this host with real time.", "网关会自动换取新凭证并重试一次。若持续出现，请核对本机时钟。",
	},
	{
		41001, ClassToken, "token_missing", byOperator,
		"The call carried no access token.", "请求没有带上 access_token。",
		"A token is fetched and the call repeated by itself. If it stays, a proxy on the way may strip the query string.", "网关会自动获取凭证并重试一次。若持续出现，请检查中间代理是否删去了 URL 参数。",
	},
	{
		40001, ClassTokenOrConfig, "bad_secret", byOperator,
		"The app's secret is wrong or was reset, or its token is no longer honoured.", "应用的 Secret 不正确或已被重置，或其凭证失效。",
		"Copy the secret again from the app's page in the WeCom console and put it into the app here. Do not try others: wrong secrets get this host's IP banned for an hour.", "在企业微信管理后台的应用页面重新复制 Secret，更新到本网关的应用配置。不要反复试错：错误的 Secret 会使本机 IP 被封一小时。",
	},
	{
		-1, ClassTransient, "system_busy", byWeCom,
		"WeCom is busy.", "企业微信系统繁忙。",
		"It is repeated by itself after a pause; nothing to do unless it goes on for hours.", "网关会稍后自动重试；除非持续数小时，否则无需处理。",
	},
	{
		6000, ClassTransient, "version_conflict", byLoad,
		"Several writers changed the same data at once.", "多个请求同时修改了同一份数据。",
		"It is repeated by itself. Let only one program at a time change the same object.", "网关会自动重试。请避免多个程序同时修改同一对象。",
	},
	{
		45033, ClassTransient, "too_many_at_once", byLoad,
		"More calls ran at the same moment than WeCom allows.", "同一时刻的并发调用超过企业微信的允许值。",
		"The gateway sends with less concurrency and repeats. If it stays, lower the app's concurrency limit.", "网关会自动降低并发并重试。若持续出现，请调低该应用的并发上限。",
	},
	{
		45035, ClassTransient, "write_conflict", byLoad,
		"Two writes met on the same data.", "并发写入发生冲突。",
		"It is repeated by itself after a pause.", "网关会稍后自动重试。",
	},
	{
		45036, ClassTransient, "access_surge", byLoad,
		"WeCom holds back the corporation's data because the traffic looks unusual.", "企业数据访问量异常，被企业微信暂时限制。",
		"It is repeated by itself. Look for a program of yours that calls in a loop.", "网关会稍后自动重试。请排查是否有程序在循环调用。",
	},
	{
		301064, ClassTransient, "internal_error", byWeCom,
		"WeCom failed inside.", "企业微信内部错误。",
		"It is repeated by itself. If it stays, give the hint number to WeCom's support.", "网关会稍后自动重试。若持续出现，请把 hint 编号提供给企业微信客服。",
	},
	{
		302005, ClassTransient, "batch_failed", byWeCom,
		"A batch import broke off inside WeCom.", "批量导入在企业微信内部失败。",
		"Start the import again later; if it stays, hand the hint number to WeCom's support.", "请稍后重新导入；若持续失败，请把 hint 编号提供给企业微信客服。",
	},
	{
		2000111, ClassTransient, "system_failure", byWeCom,
		"A service of WeCom failed.", "企业微信的某项服务出错。",
		"It is repeated by itself after a pause.", "网关会稍后自动重试。",
	},
	{
		2000141, ClassTransient, "system_failure_2", byWeCom,
		"A service of WeCom did not work.", "企业微信的某项服务未能正常工作。",
		"It is repeated by itself after a pause.", "网关会稍后自动重试。",
	},
	{
		2010003, ClassTransient, "document_concurrency", byLoad,
		"Too many calls work on the same document at once.", "对同一文档的并发操作过多。",
		"It is repeated by itself. Space out the calls on one document.", "网关会稍后自动重试。请错开对同一文档的操作。",
	},
	{
		2090726, ClassTransient, "retry_later", byWeCom,
		"WeCom asks to come back later.", "企业微信要求稍后再试。",
		"It is repeated by itself after a pause.", "网关会稍后自动重试。",
	},
	{
		2543337, ClassTransient, "data_loading", byWeCom,
		"WeCom is still loading the data that the call needs.", "所需数据仍在加载。",
		"It is repeated by itself after a pause.", "网关会稍后自动重试。",
	},
	{
		81026, ClassTransient, "under_maintenance", byWeCom,
		"The function is switched off for maintenance.", "该功能正在维护。",
		"It is repeated by itself; see WeCom's notices for the end of the work.", "网关会稍后自动重试；维护结束时间以企业微信公告为准。",
	},
	{
		45009, ClassQuota, "rate_limited", byLoad,
		"A limit on the number of calls or messages was reached. Wrong secrets and the debug parameter count too.", "调用次数或消息条数达到上限。错误的 Secret 与 debug 参数也会计入。",
		"The gateway pauses this channel for 60 s, then an hour, then until midnight. Send less, merge messages into digests, or lift the block in the console's self-service tool.", "网关会依次暂停该通道 60 秒、1 小时、直至次日零点。请减少发送、合并为摘要，或在管理后台的频率自助工具中解封。",
	},
	{
		2400007, ClassQuota, "request_quota", byLoad,
		"The number of requests went over its limit.", "请求次数超过限额。",
		"The gateway pauses this channel. Lower the rate or ask for a larger quota.", "网关会暂停该通道。请降低频率，或申请更高的限额。",
	},
	{
		846609, ClassBotSession, "bot_not_subscribed", byNobody,
		"The connection of the AI bot is not subscribed any more.", "智能机器人的长连接已失去订阅。",
		"The gateway subscribes again and repeats once. If it recurs, make sure that no second process uses the same bot.", "网关会重新订阅并重试一次。若反复出现，请确认没有另一个进程在使用同一个机器人。",
	},
}
