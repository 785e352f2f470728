package wecom

// cardRows are mistakes in cards.
var cardRows = []row{
	{
		42014, ClassPayload, "bad_task_id", byWriter,
		"The card's task_id is not valid or was used before.", "卡片 task_id 不合法，或已被使用过。",
		"Use a fresh id of letters, digits and _-@ within 128 bytes.", "请使用全新的 task_id，仅含字母、数字与 _-@，不超过 128 字节。",
	},
	{
		42017, ClassPayload, "button_unknown", byWriter,
		"The card has no button with this key.", "卡片中不存在该按钮 key。",
		"Name the key of a button that the card has.", "请使用卡片中已有的按钮 key。",
	},
	{
		42018, ClassPayload, "bad_button_key", byWriter,
		"A button's key is not valid.", "按钮 key 不合法。",
		"Give each button its own key.", "请为每个按钮设置各不相同的 key。",
	},
	{
		42019, ClassPayload, "button_key_missing", byWriter,
		"A button has no usable key.", "按钮缺少 key 或 key 不合法。",
		"Give each button its own key.", "请为每个按钮设置各不相同的 key。",
	},
	{
		42020, ClassPayload, "button_name_missing", byWriter,
		"A button has no name.", "按钮缺少名称。",
		"Fill the button's name.", "请填写按钮名称。",
	},
	{
		42027, ClassPayload, "row_name_missing", byWriter,
		"A row of horizontal_content_list has no keyname.", "horizontal_content_list 中缺少 keyname。",
		"Fill keyname in every row.", "请为每一行填写 keyname。",
	},
	{
		42028, ClassPayload, "card_url_missing", byWriter,
		"A card_action, row or jump of type 1 has no url.", "card_action、横向列表或跳转列表（类型 1）缺少 url。",
		"Fill the url, or change the type.", "请填写 url 或更改 type。",
	},
	{
		42029, ClassPayload, "row_media_missing", byWriter,
		"A row of type 2 has no media_id.", "横向列表（类型 2）缺少 media_id。",
		"Upload the file and fill media_id, or change the type.", "请上传文件并填写 media_id，或更改 type。",
	},
	{
		42030, ClassPayload, "card_appid_missing", byWriter,
		"A card_action or jump of type 2 has no appid.", "card_action 或跳转列表（类型 2）缺少 appid。",
		"Fill the mini program's appid, or change the type.", "请填写小程序 appid 或更改 type。",
	},
	{
		42031, ClassPayload, "bad_card_type", byWriter,
		"The card_type is unknown.", "card_type 不合法。",
		"Use text_notice, news_notice, button_interaction, vote_interaction or multiple_interaction.", "请使用 text_notice、news_notice、button_interaction、vote_interaction 或 multiple_interaction。",
	},
	{
		42033, ClassPayload, "entry_title_missing", byWriter,
		"An entry of vertical_content_list or jump_list has no title.", "纵向列表或跳转列表中缺少 title。",
		"Fill the title of every entry.", "请为每一项填写 title。",
	},
	{
		42035, ClassPayload, "row_count", byWriter,
		"horizontal_content_list has more rows than allowed.", "horizontal_content_list 数量超限。",
		"Keep at most 6 rows.", "请保留不超过 6 行。",
	},
	{
		42036, ClassPayload, "paragraph_count", byWriter,
		"vertical_content_list has more entries than allowed.", "vertical_content_list 数量超限。",
		"Keep at most 4 entries.", "请保留不超过 4 项。",
	},
	{
		42037, ClassPayload, "option_count", byWriter,
		"option_list is empty or too long.", "option_list 数量不合法。",
		"1 to 10 options in a selection, 1 to 20 in a vote.", "下拉选择 1 到 10 项，投票 1 到 20 项。",
	},
	{
		42038, ClassPayload, "bad_button_text", byWriter,
		"A button of button_list has no usable text.", "button_list 中的 text 缺失或不合法。",
		"Give each button a short text.", "请为每个按钮填写简短文字。",
	},
	{
		42039, ClassPayload, "bad_button_list_key", byWriter,
		"A button of button_list has no usable key.", "button_list 中的 key 缺失或不合法。",
		"Give each button its own key within 1,024 bytes.", "请为每个按钮设置不重复的 key，不超过 1024 字节。",
	},
	{
		42040, ClassPayload, "bad_option_id", byWriter,
		"An option has no usable id.", "option_list 中的 id 缺失或不合法。",
		"Give each option its own id within 128 bytes.", "请为每个选项设置不重复的 id，不超过 128 字节。",
	},
	{
		42041, ClassPayload, "bad_option_text", byWriter,
		"An option has no usable text.", "option_list 中的 text 缺失或不合法。",
		"Give each option a short text.", "请为每个选项填写简短文字。",
	},
	{
		42042, ClassPayload, "jump_count", byWriter,
		"jump_list has more entries than allowed.", "jump_list 数量超限。",
		"Keep at most 3 entries.", "请保留不超过 3 项。",
	},
	{
		42043, ClassPayload, "bad_question_key", byWriter,
		"A question has no usable question_key.", "question_key 缺失或不合法。",
		"Give each question its own key within 1,024 bytes.", "请为每个问题设置不重复的 key，不超过 1024 字节。",
	},
	{
		42044, ClassPayload, "bad_card_image", byWriter,
		"card_image has no usable url.", "card_image.url 缺失或不合法。",
		"Give a public picture address with https://.", "请填写公网可访问的 https:// 图片地址。",
	},
	{
		42045, ClassPayload, "bad_card_action", byWriter,
		"card_action is missing or incomplete.", "card_action 缺失或不完整。",
		"Give type 1 with url, or type 2 with appid.", "请填写 type 1 与 url，或 type 2 与 appid。",
	},
	{
		42046, ClassPayload, "bad_submit_key", byWriter,
		"submit_button has no usable key.", "submit_button.key 缺失或不合法。",
		"Fill a key within 1,024 bytes.", "请填写 key，不超过 1024 字节。",
	},
	{
		42047, ClassPayload, "select_count", byWriter,
		"select_list is empty or too long.", "select_list 数量不合法。",
		"Use 1 to 3 selections.", "请使用 1 到 3 个下拉选择。",
	},
	{
		42049, ClassPayload, "bad_submit_text", byWriter,
		"submit_button has no usable text.", "submit_button.text 缺失或不合法。",
		"Fill a short text.", "请填写简短文字。",
	},
	{
		42050, ClassPayload, "bad_row_user", byWriter,
		"A row of type 3 has no usable userid.", "横向列表（类型 3）的 userid 缺失或不合法。",
		"Fill the account of a member, or change the type.", "请填写成员账号或更改 type。",
	},
	{
		42051, ClassPayload, "menu_key_repeated", byWriter,
		"Two entries of action_menu.action_list share a key.", "action_menu.action_list 中的 key 重复。",
		"Give each entry its own key.", "请为每一项设置不重复的 key。",
	},
}
