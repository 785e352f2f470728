package wecom

// configRows are settings that a person must change, here or in the console.
var configRows = []row{
	{
		40013, ClassConfig, "invalid_corp_id", byOperator,
		"No corporation has this corp id.", "企业 ID（CorpID）不存在。",
		"Copy the corp id from the page 我的企业 of the WeCom console.", "在管理后台“我的企业”页面底部复制企业 ID，更新应用配置。",
	},
	{
		40056, ClassConfig, "invalid_agent_id", byOperator,
		"No app has this agent id.", "应用的 AgentId 不存在。",
		"Copy AgentId and Secret together from the same app's page.", "在同一个应用页面上一并复制 AgentId 与 Secret。",
	},
	{
		40091, ClassConfig, "foreign_secret", byOperator,
		"The secret does not belong to this corporation.", "Secret 与该企业不匹配。",
		"Take corp id and secret from the same corporation.", "请确认企业 ID 与 Secret 来自同一家企业。",
	},
	{
		41002, ClassConfig, "corp_id_missing", byOperator,
		"The call carried no corp id.", "请求缺少企业 ID。",
		"Set corp_id on the app.", "请为该应用设置 corp_id。",
	},
	{
		41004, ClassConfig, "secret_missing", byOperator,
		"The call carried no secret.", "请求缺少 Secret。",
		"Set the secret on the app; if it comes from the environment, check that the variable is not empty.", "请为该应用设置 Secret；若来自环境变量，请确认变量非空。",
	},
	{
		41011, ClassConfig, "agent_id_missing", byOperator,
		"The message named no app.", "消息缺少 agentid。",
		"Set agent_id on the app, as a number.", "请为该应用设置数字形式的 agent_id。",
	},
	{
		43012, ClassConfig, "no_callback_url", byAdmin,
		"Cards with buttons need a callback URL, and this app has none.", "带按钮的卡片需要回调地址，而该应用尚未配置。",
		"Set up 接收消息 for the app in the console, or send a card without buttons.", "在管理后台为应用配置“接收消息”服务器，或改发不带按钮的卡片。",
	},
	{
		48001, ClassConfig, "api_not_granted", byAdmin,
		"The app has not been given this function.", "应用没有获得该接口的授权。",
		"Grant the function to the app in the console.", "请在管理后台为应用开通该功能。",
	},
	{
		48002, ClassConfig, "api_forbidden", byAdmin,
		"This kind of credential may not make this call; group chats also need an app that the whole corporation can see.", "该凭证无权调用此接口；应用群聊还要求应用的可见范围为根部门。",
		"Use the secret of a self-built app, not the contact-sync one; for group chats set the visible range to the root department.", "请使用自建应用的 Secret，而不是通讯录同步的 Secret；应用群聊请把可见范围设为根部门。",
	},
	{
		48003, ClassConfig, "invalid_suite", byOperator,
		"The suite id of a third-party app is unknown.", "第三方应用的 suite_id 无效。",
		"Use a self-built app, or correct the suite id.", "请改用自建应用，或更正 suite_id。",
	},
	{
		48004, ClassConfig, "authorization_broken", byAdmin,
		"The corporation's authorization of this app is not valid.", "企业对该应用的授权关系无效。",
		"Authorize the app again in the console.", "请在管理后台重新授权该应用。",
	},
	{
		48005, ClassConfig, "api_retired", byWeCom,
		"WeCom has retired this call.", "该接口已被企业微信废弃。",
		"Update the gateway to a version that uses the call's successor.", "请升级网关到使用替代接口的版本。",
	},
	{
		48006, ClassConfig, "app_dormant", byAdmin,
		"The app lost its rights because it was unused for long.", "应用因长期未使用被收回接口权限。",
		"Let an administrator open the app in the console and activate it again.", "请管理员在管理后台打开该应用并重新启用。",
	},
	{
		48007, ClassConfig, "no_service_account", byAdmin,
		"The app may not use this customer-service account.", "应用未获得该客服账号的权限。",
		"Grant the account to the app in the console.", "请在管理后台把该客服账号授权给应用。",
	},
	{
		48008, ClassConfig, "contact_edit_limited", byAdmin,
		"The app's right to edit contacts does not cover this call.", "应用的通讯录编辑权限不包含此接口。",
		"Use a call that the grant covers, or widen the grant.", "请使用授权范围内的接口，或扩大授权。",
	},
	{
		48009, ClassConfig, "contact_read_limited", byAdmin,
		"The contact-sync secret reads only ids from this IP.", "通讯录同步 Secret 在此 IP 上只能读取成员 ID。",
		"Read details with the secret of a self-built app instead.", "请改用自建应用的 Secret 读取成员详情。",
	},
	{
		48010, ClassConfig, "old_tls", byOperator,
		"The connection used a TLS version that WeCom refuses.", "连接所用的 TLS 版本过旧，被拒绝。",
		"Let the proxy in front of WeCom speak TLS 1.2 or newer.", "请让通往企业微信的代理使用 TLS 1.2 或更新版本。",
	},
	{
		50001, ClassConfig, "untrusted_redirect", byAdmin,
		"The address that a login should return to is not on a trusted domain of the app.", "登录跳转地址不在应用的可信域名内。",
		"Add the domain to the app's trusted domains in the console.", "请在管理后台把该域名加入应用的可信域名。",
	},
	{
		50003, ClassConfig, "app_disabled", byAdmin,
		"The app is switched off.", "应用已被停用。",
		"Switch the app on again in the WeCom console.", "请在企业微信管理后台重新启用该应用。",
	},
	{
		50006, ClassConfig, "system_app_disabled", byAdmin,
		"The built-in app is switched off.", "该系统应用已被停用。",
		"Switch it on in the console, or use a self-built app.", "请在管理后台启用它，或改用自建应用。",
	},
	{
		60011, ClassConfig, "no_privilege", byAdmin,
		"The app may not act on this member, department or tag.", "应用对该成员、部门或标签没有权限。",
		"Widen the app's visible range in the console so that it covers them.", "请在管理后台扩大应用的可见范围。",
	},
	{
		60020, ClassConfig, "untrusted_ip", byAdmin,
		"WeCom does not trust the address this call came from.", "调用来源 IP 不在企业可信 IP 列表中。",
		"Add the address shown here to 企业可信IP on the app's page; it works after about a minute. If the address changes often, use a proxy with a fixed one.", "把此处显示的 IP 加入应用页面的“企业可信IP”，约一分钟后生效。若出口 IP 经常变化，请配置固定出口的代理。",
	},
	{
		60031, ClassConfig, "app_api_banned", byAdmin,
		"This app is not allowed to call the API.", "该应用被禁止调用接口。",
		"Find the reason on the app's page in the console, or create a new app.", "请在管理后台查看该应用被限制的原因，或新建应用。",
	},
	{
		301002, ClassConfig, "agent_mismatch", byOperator,
		"The token belongs to another app than the agent id.", "凭证与 agentid 不属于同一个应用。",
		"Copy AgentId and Secret from the same app; if a Redis key is shared, give each app its own.", "请从同一应用复制 AgentId 与 Secret；若与其他程序共享 Redis 键，请为每个应用使用独立的键。",
	},
	{
		301007, ClassConfig, "corp_unavailable", byAdmin,
		"The corporation was dissolved or banned.", "企业已解散或被封禁。",
		"Settle the matter with WeCom's support; nothing can be sent until then.", "请联系企业微信客服处理；在此之前无法发送。",
	},
	{
		301042, ClassConfig, "ip_not_listed", byAdmin,
		"The caller's address is not on the list of allowed ones.", "调用来源 IP 不在允许列表中。",
		"Add the address to the list for this function in the console.", "请在管理后台把该 IP 加入此功能的允许列表。",
	},
	{
		93000, ClassConfig, "robot_gone", byAdmin,
		"The robot's webhook address is wrong, or the robot was removed from its group.", "机器人 Webhook 地址不正确，或机器人已被移出群聊。",
		"Create the robot again in the group and store its new key.", "请在群里重新添加机器人，并更新其 key。",
	},
	{
		93001, ClassConfig, "group_refuses_push", byAdmin,
		"The group does not allow messages from robots.", "该群不允许消息推送。",
		"Ask the group's owner to allow them.", "请群主允许消息推送。",
	},
	{
		93004, ClassConfig, "robot_disabled", byAdmin,
		"The robot is switched off.", "机器人已被停用。",
		"Switch the robot on in the group's settings.", "请在群设置中启用该机器人。",
	},
	{
		93008, ClassConfig, "not_in_group", byAdmin,
		"The sender is not in the group.", "发送方不在群内。",
		"Add the robot to the group again.", "请把机器人重新加入群聊。",
	},
	{
		93019, ClassConfig, "invalid_bot_id", byOperator,
		"No AI bot has this id.", "智能机器人的 bot_id 不存在。",
		"Copy the bot id from the bot's page.", "请在机器人页面重新复制 bot_id。",
	},
	{
		853000, ClassConfig, "bad_bot_secret", byOperator,
		"Bot id and secret of the AI bot do not fit.", "智能机器人的 bot_id 与 Secret 不匹配。",
		"Copy both from the bot's page again.", "请在机器人页面重新复制两者。",
	},
	{
		853006, ClassConfig, "bot_tool_unavailable", byAdmin,
		"The corporation may not use this tool of the AI bot.", "企业不能使用该智能机器人工具。",
		"Ask the administrator to enable the tool, or do without it.", "请管理员开通该工具，或不使用它。",
	},
	{
		80001, ClassConfig, "bad_trusted_domain", byAdmin,
		"The trusted domain is wrong or has no ICP record.", "可信域名不正确，或未完成 ICP 备案。",
		"Set a domain with an ICP record of the corporation.", "请设置由本企业完成 ICP 备案的域名。",
	},
	{
		85005, ClassConfig, "domain_not_verified", byAdmin,
		"Nobody has proved yet who owns the trusted domain.", "可信域名尚未完成归属校验。",
		"Put the verification file on the domain and verify it in the console.", "请把校验文件放到域名根目录，并在管理后台完成校验。",
	},
	{
		85006, ClassConfig, "ip_list_full", byAdmin,
		"The list of trusted addresses is full.", "可信 IP 数量超过上限。",
		"Remove addresses that are not used, or send through one fixed proxy.", "请删除不用的 IP，或统一经由固定出口的代理。",
	},
	{
		85007, ClassConfig, "illegal_ip", byAdmin,
		"An address in the list of trusted ones is not usable.", "可信 IP 列表中含有不合法的地址。",
		"Enter single public IPv4 addresses without ranges.", "请填写单个公网 IPv4 地址，不支持网段。",
	},
	{
		701063, ClassConfig, "licence_off", byAdmin,
		"The corporation's interface licence is switched off.", "企业的接口许可已关闭。",
		"Switch the licence on in the console.", "请在管理后台开启接口许可。",
	},
	{
		-30065, ClassConfig, "callback_check_failed", byOperator,
		"The console could not verify the callback URL.", "管理后台校验回调地址失败。",
		"Check that the URL is reachable from the internet, that token and AES key are equal on both sides, and that the answer comes within a second.", "请确认地址可从公网访问、Token 与 EncodingAESKey 两侧一致，且在一秒内应答。",
	},
}
