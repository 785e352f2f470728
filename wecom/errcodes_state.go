package wecom

// stateRows are cards, messages and groups that are gone or closed.
var stateRows = []row{
	{
		40050, ClassState, "chat_missing", byLateness,
		"There is no such group chat of this app.", "该应用群聊不存在。",
		"Create the group again, or correct its id.", "请重新创建群聊或更正 ID。",
	},
	{
		42015, ClassState, "foreign_card", byOperator,
		"The card was sent by another app than the one that wants to change it.", "更新卡片的应用与发送卡片的应用不一致。",
		"Update it through the app that sent it.", "请用发送该卡片的应用来更新。",
	},
	{
		42016, ClassState, "card_unknown", byLateness,
		"There is no card with this task_id.", "要更新的 task_id 不存在。",
		"Check the task_id; very old cards cannot be changed.", "请检查 task_id；过早的卡片无法更新。",
	},
	{
		42052, ClassState, "message_too_old", byLateness,
		"The message is too old to be recalled.", "消息已超过可撤回的时间。",
		"Messages can be recalled for 24 hours; send a correction instead.", "仅可撤回 24 小时内的消息；请改发更正说明。",
	},
	{
		49008, ClassState, "group_dissolved", byLateness,
		"The group was dissolved.", "群聊已解散。",
		"Remove the group from the recipients.", "请从接收方中移除该群。",
	},
	{
		60140, ClassState, "bad_response_code", byLateness,
		"The code for changing the card was used already, or is older than 72 hours.", "response_code 无效、已使用或超过 72 小时。",
		"Each code works once; send a new card.", "每个 response_code 只能使用一次；请发送新卡片。",
	},
	{
		82101, ClassState, "update_target_empty", byAddresser,
		"The update of a card names nobody.", "更新卡片的目标为空。",
		"Name at least one of the card's receivers.", "请至少指定一个卡片接收人。",
	},
	{
		82102, ClassState, "update_target_foreign", byAddresser,
		"The update names somebody who never got the card.", "更新目标不在卡片的接收人之内。",
		"Name only people who got the card.", "请只指定收到过该卡片的人。",
	},
	{
		86003, ClassState, "chat_unknown", byLateness,
		"There is no chat with this id.", "会话不存在。",
		"Create the chat again, or correct its id.", "请重新创建会话或更正 ID。",
	},
	{
		86008, ClassState, "foreign_chat", byOperator,
		"The group was created by another app.", "群聊不是由该应用创建的。",
		"Use the app that created it.", "请使用创建该群聊的应用。",
	},
	{
		86215, ClassState, "chat_exists", byLateness,
		"A chat with this id exists already.", "会话 ID 已存在。",
		"Use the existing chat or choose another id.", "请使用已有会话或更换 ID。",
	},
	{
		846605, ClassState, "bot_request_stale", byLateness,
		"The bot's reply refers to a request that is not open.", "智能机器人回复所引用的请求已失效。",
		"Send it as a new message of the bot.", "请改用机器人主动发送消息。",
	},
	{
		846608, ClassState, "bot_stream_closed", byLateness,
		"The bot's streamed message is too old to be continued.", "智能机器人的流式消息已超时，无法更新。",
		"Finish streams within six minutes; send the rest as a new message.", "请在六分钟内结束流式消息；剩余内容请另发。",
	},
	{
		93050, ClassState, "bad_response_type", byLateness,
		"The kind of reply does not fit what is open.", "response_type 与当前会话状态不符。",
		"Reply in the form that the event allows, or send a new message.", "请按事件允许的形式回复，或另发消息。",
	},
}
