package wecom

// recipientRows are addresses that cannot be reached, and dead media.
var recipientRows = []row{
	{
		81013, ClassRecipient, "nobody_reachable", byAddresser,
		"None of the named users, departments and tags can get messages of this app.", "指定的成员、部门、标签全部无效或不在应用可见范围内。",
		"Check the ids (not display names), and that the people are active and in the app's visible range.", "请检查是否填写了账号 ID（而非姓名），以及成员是否已激活并在应用可见范围内。",
	},
	{
		40003, ClassRecipient, "invalid_user_id", byAddresser,
		"The user id is not valid.", "成员 ID 不合法。",
		"Use the account (账号) from the member's page in the contacts.", "请使用通讯录成员详情中的“账号”。",
	},
	{
		40031, ClassRecipient, "invalid_user_list", byAddresser,
		"The list of users holds an id that is not valid.", "成员列表中存在不合法的 ID。",
		"Correct or remove the wrong ids.", "请更正或删除其中不合法的 ID。",
	},
	{
		40066, ClassRecipient, "invalid_department_list", byAddresser,
		"The list of departments holds an id that is not valid.", "部门列表中存在不合法的 ID。",
		"Use the numbers of existing departments.", "请使用真实存在的部门数字 ID。",
	},
	{
		40068, ClassRecipient, "invalid_tag_id", byAddresser,
		"The tag or tag group does not exist.", "标签或标签组 ID 不合法。",
		"Use the number of an existing tag that the app can see.", "请使用应用可见且真实存在的标签 ID。",
	},
	{
		46004, ClassRecipient, "user_missing", byAddresser,
		"There is no such member.", "成员不存在。",
		"Remove the member from the recipients or correct the id.", "请从接收人中移除该成员或更正 ID。",
	},
	{
		50002, ClassRecipient, "user_out_of_scope", byAddresser,
		"The member is outside the app's permissions.", "成员不在应用的权限范围内。",
		"Add the member to the app's visible range.", "请把该成员加入应用的可见范围。",
	},
	{
		60003, ClassRecipient, "department_missing", byAddresser,
		"There is no such department.", "部门不存在。",
		"Correct the department's number.", "请更正部门 ID。",
	},
	{
		60021, ClassRecipient, "user_not_visible", byAddresser,
		"The app cannot see this member.", "成员不在应用的可见范围内。",
		"Add the member to the app's visible range.", "请把该成员加入应用的可见范围。",
	},
	{
		60111, ClassRecipient, "user_unknown", byAddresser,
		"No member has this user id.", "成员账号不存在。",
		"Correct the id; people who left should be removed from audiences.", "请更正 ID；离职人员应从接收组中移除。",
	},
	{
		60123, ClassRecipient, "invalid_department", byAddresser,
		"The department's number is not valid.", "部门 ID 不合法。",
		"Use the number of an existing department.", "请使用真实存在的部门 ID。",
	},
	{
		92000, ClassRecipient, "member_not_visible", byAddresser,
		"A member is outside the range that the app can see.", "存在不在应用可见范围内的成员。",
		"Widen the visible range or leave the member out.", "请扩大可见范围或去掉该成员。",
	},
	{
		701008, ClassRecipient, "no_interop_licence", byAdmin,
		"None of the users has a valid licence for exchange with others.", "没有成员拥有有效的互通许可。",
		"Assign licences in the console.", "请在管理后台为成员分配互通许可。",
	},
	{
		701099, ClassRecipient, "no_interface_licence", byAdmin,
		"The user has no valid interface licence.", "成员没有有效的接口许可。",
		"Assign or renew the licence in the console.", "请在管理后台分配或续费接口许可。",
	},
	{
		86007, ClassRecipient, "illegal_group_member", byAddresser,
		"A member of the group is not allowed there.", "群成员不合法。",
		"Name only active members that the app can see.", "请只填写应用可见且已激活的成员。",
	},
	{
		86216, ClassRecipient, "illegal_chat_member", byAddresser,
		"A member id of the chat is not valid.", "会话成员 ID 不合法。",
		"Correct or remove the id.", "请更正或删除该 ID。",
	},
	{
		40007, ClassMedia, "invalid_media", byLateness,
		"WeCom does not know this media id, or it has run out after three days.", "media_id 无效，或已超过三天有效期。",
		"The gateway uploads its own copy again once. For ids from elsewhere upload the file here instead.", "由网关上传的文件会自动重新上传一次。外部得到的 media_id 请改为在网关上传文件。",
	},
	{
		40145, ClassMedia, "media_expired", byLateness,
		"The media id is older than three days.", "media_id 已过期（有效期三天）。",
		"The gateway uploads its own copy again once. For ids from elsewhere upload the file here instead.", "由网关上传的文件会自动重新上传一次。外部得到的 media_id 请改为在网关上传文件。",
	},
}
