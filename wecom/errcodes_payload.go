package wecom

// payloadRows are messages and files that WeCom will not take as they are.
var payloadRows = []row{
	{
		40004, ClassPayload, "bad_file_type", bySupplier,
		"The file is not of a kind that may be uploaded like this.", "媒体文件类型不受支持。",
		"Images are JPG or PNG, voice is AMR, video is MP4; send anything else as a file.", "图片须为 JPG/PNG，语音须为 AMR，视频须为 MP4；其他类型请按普通文件发送。",
	},
	{
		40005, ClassPayload, "bad_upload_type", bySupplier,
		"The upload's type is none of image, voice, video, file.", "上传类型参数不合法。",
		"Name one of the four types.", "请使用 image、voice、video、file 之一。",
	},
	{
		40006, ClassPayload, "bad_file_size", bySupplier,
		"The file is empty, too small or too large.", "媒体文件大小不合法。",
		"More than 5 bytes; images and video up to 10 MB, voice 2 MB, files 20 MB.", "须大于 5 字节；图片与视频不超过 10 MB，语音不超过 2 MB，文件不超过 20 MB。",
	},
	{
		40008, ClassPayload, "bad_message_type", byWriter,
		"WeCom does not know this message type here.", "消息类型不受支持。",
		"Use one of the documented types; group robots know fewer than apps.", "请使用文档列出的类型；群机器人支持的类型少于应用。",
	},
	{
		40009, ClassPayload, "bad_image_size", bySupplier,
		"The image is too large or too small.", "图片大小不合法。",
		"Shrink it below 10 MB, or 2 MB for pictures inside articles and for robots.", "请压缩到 10 MB 以内；图文正文与机器人图片须在 2 MB 以内。",
	},
	{
		40011, ClassPayload, "bad_video_size", bySupplier,
		"The video is too large or too small.", "视频大小不合法。",
		"Shrink it below 10 MB, or send it as a file up to 20 MB.", "请压缩到 10 MB 以内，或按文件发送（不超过 20 MB）。",
	},
	{
		40032, ClassPayload, "too_many_users", byAddresser,
		"The list of users is too long or badly formed.", "成员列表长度不合法。",
		"At most 1,000 users per call; the gateway splits longer lists itself.", "单次最多 1000 个成员；网关会自动拆分更长的名单。",
	},
	{
		40033, ClassPayload, "bad_characters", byWriter,
		"The request holds characters or \\u escapes that WeCom refuses.", "请求含有不被接受的字符或 \\u 转义。",
		"Send plain UTF-8 without escapes and without control characters.", "请直接使用 UTF-8 字符，不要使用转义与控制字符。",
	},
	{
		40035, ClassPayload, "bad_parameter", byWriter,
		"A parameter of a contacts or tag call is not valid.", "通讯录或标签接口的参数不合法。",
		"Compare the parameters with the call's documentation.", "请对照接口文档检查参数。",
	},
	{
		40039, ClassPayload, "url_too_long", byWriter,
		"An address in the message is too long.", "URL 长度不合法。",
		"Keep addresses within 2,048 bytes; use a short link.", "URL 请控制在 2048 字节以内，可使用短链接。",
	},
	{
		40058, ClassPayload, "invalid_parameter", byWriter,
		"A value is missing, too long or of the wrong kind; the text names the field.", "参数不合法：缺失、过长或类型不符，具体字段见错误描述。",
		"Correct the field that the message names.", "请按错误描述修正对应字段。",
	},
	{
		40063, ClassPayload, "empty_parameter", byWriter,
		"A required value is empty.", "必填参数为空。",
		"Fill the value; in a template check that its variables were given.", "请补全该值；若使用模板，请检查变量是否都已提供。",
	},
	{
		40074, ClassPayload, "news_not_confidential", byWriter,
		"News messages cannot be confidential.", "图文消息不支持保密。",
		"Leave safe out, or use mpnews.", "请去掉 safe，或改用 mpnews。",
	},
	{
		40094, ClassPayload, "invalid_url", byWriter,
		"An address is not valid.", "URL 不合法。",
		"Give a full address with http:// or https://.", "请填写带 http:// 或 https:// 的完整地址。",
	},
	{
		40123, ClassPayload, "broken_image", bySupplier,
		"The picture's data is broken or not what its name says.", "图片内容损坏或格式不符。",
		"Save it again as JPG or PNG.", "请重新保存为 JPG 或 PNG。",
	},
	{
		40127, ClassPayload, "bad_scheme", byWriter,
		"An address has a scheme that WeCom does not allow.", "URL 的协议不受支持。",
		"Use https:// or http://.", "请使用 https:// 或 http://。",
	},
	{
		40146, ClassPayload, "bad_range", byWriter,
		"The Range header of a download is not valid.", "下载请求的 Range 不合法。",
		"Ask for one range; encrypted media need lengths that divide by 16.", "请使用单一区间；加密存储的媒体要求长度为 16 的倍数。",
	},
	{
		40206, ClassPayload, "body_too_large", byWriter,
		"The request is too large.", "请求包体过大。",
		"Shorten the message or divide it.", "请缩短或拆分消息。",
	},
	{
		41006, ClassPayload, "media_id_missing", byWriter,
		"The message names no file.", "缺少 media_id。",
		"Upload the file and refer to it in the content.", "请先上传文件并在内容中引用。",
	},
	{
		41009, ClassPayload, "user_id_missing", byWriter,
		"The call names no member.", "缺少成员 ID。",
		"Give a user id.", "请填写成员 ID。",
	},
	{
		41010, ClassPayload, "url_missing", byWriter,
		"The message needs an address and has none.", "缺少 URL。",
		"Text cards and articles need a url with http(s)://.", "文本卡片与图文需要填写带 http(s):// 的链接。",
	},
	{
		41016, ClassPayload, "title_missing", byWriter,
		"The message needs a title.", "缺少标题。",
		"Fill the title.", "请填写标题。",
	},
	{
		41017, ClassPayload, "tag_id_missing", byWriter,
		"The call names no tag.", "缺少标签 ID。",
		"Give a tag's number.", "请填写标签 ID。",
	},
	{
		41033, ClassPayload, "description_missing", byWriter,
		"The message needs a description.", "缺少描述。",
		"Fill the description; a text card cannot do with a title alone.", "请填写描述；文本卡片不能只有标题。",
	},
	{
		44001, ClassPayload, "empty_file", bySupplier,
		"WeCom found no file in the upload.", "上传的媒体文件为空。",
		"Check that the file has content and that no proxy removes the length of the request.", "请确认文件非空，且代理没有去掉请求的 Content-Length。",
	},
	{
		44004, ClassPayload, "empty_content", byWriter,
		"The message has no text.", "消息内容为空。",
		"Fill the content; in a template check that its variables were given.", "请填写内容；若使用模板，请检查变量是否都已提供。",
	},
	{
		45001, ClassPayload, "file_too_large", bySupplier,
		"The file is too large.", "媒体文件过大。",
		"Images and video up to 10 MB, voice 2 MB, files 20 MB; or send a link.", "图片与视频不超过 10 MB，语音不超过 2 MB，文件不超过 20 MB；也可改发下载链接。",
	},
	{
		45002, ClassPayload, "content_too_large", byWriter,
		"The message is too long.", "消息内容过长。",
		"Set overflow to split or cut, or shorten the text.", "请把 overflow 设为 split 或 cut，或缩短内容。",
	},
	{
		45007, ClassPayload, "voice_too_long", bySupplier,
		"The voice message is longer than a minute.", "语音时长超过 60 秒。",
		"Cut it to 60 seconds, or send it as a file.", "请剪到 60 秒以内，或按文件发送。",
	},
	{
		45008, ClassPayload, "article_count", byWriter,
		"The number of articles is not between 1 and 8.", "图文条数不在 1 到 8 之间。",
		"Send one to eight articles.", "请发送 1 到 8 条图文。",
	},
	{
		45032, ClassPayload, "author_too_long", byWriter,
		"An article's author is too long.", "图文作者过长。",
		"Keep the author within 64 bytes.", "作者请控制在 64 字节以内。",
	},
	{
		45034, ClassPayload, "url_without_scheme", byWriter,
		"An address lacks http:// or https://.", "URL 缺少协议头。",
		"Put https:// in front of it.", "请在地址前加上 https://。",
	},
	{
		81012, ClassPayload, "recipients_missing", byAddresser,
		"The message names nobody.", "缺少接收范围。",
		"Name users, departments or tags, or everyone.", "请指定成员、部门、标签或全员。",
	},
	{
		82001, ClassPayload, "recipients_empty", byAddresser,
		"Users, departments and tags are all empty.", "成员、部门、标签全部为空。",
		"Name at least one recipient; an audience may have become empty.", "请至少指定一个接收人；也可能是接收组已变空。",
	},
	{
		82002, ClassPayload, "too_many_departments", byAddresser,
		"The list of departments is too long.", "部门列表过长。",
		"At most 100 departments per call; the gateway splits longer lists itself.", "单次最多 100 个部门；网关会自动拆分更长的名单。",
	},
	{
		82003, ClassPayload, "too_many_tags", byAddresser,
		"The list of tags is too long.", "标签列表过长。",
		"At most 100 tags per call; the gateway splits longer lists itself.", "单次最多 100 个标签；网关会自动拆分更长的名单。",
	},
	{
		86001, ClassPayload, "illegal_chat_id", byAddresser,
		"The group's id is not valid.", "群聊 ID 不合法。",
		"Up to 32 letters and digits, as given when the group was created.", "应为创建群聊时使用的字母或数字，最多 32 位。",
	},
	{
		86201, ClassPayload, "chat_id_missing", byAddresser,
		"The call names no group.", "缺少群聊 ID。",
		"Give the chatid.", "请填写 chatid。",
	},
	{
		90200, ClassPayload, "miniprogram_id_missing", byWriter,
		"The notice names no mini program.", "缺少小程序 appid。",
		"Fill appid with a mini program that is linked to the app.", "请填写与应用关联的小程序 appid。",
	},
	{
		90201, ClassPayload, "too_many_content_items", byWriter,
		"The mini program notice has more than ten lines.", "小程序通知的内容项超过 10 条。",
		"Keep at most ten items.", "请保留不超过 10 项。",
	},
	{
		90202, ClassPayload, "bad_item_key", byWriter,
		"A line's name in the mini program notice is too long or empty.", "小程序通知内容项的 key 长度不合法。",
		"Keep each key within 10 Chinese characters.", "key 请控制在 10 个汉字以内。",
	},
	{
		90203, ClassPayload, "bad_item_value", byWriter,
		"A line's value in the mini program notice is too long or empty.", "小程序通知内容项的 value 长度不合法。",
		"Keep each value within 30 Chinese characters.", "value 请控制在 30 个汉字以内。",
	},
	{
		90204, ClassPayload, "bad_page", byWriter,
		"The mini program's page is not valid.", "小程序页面路径不合法。",
		"Use a page of the mini program, within 1,024 bytes.", "请填写小程序内的页面路径，不超过 1024 字节。",
	},
	{
		90206, ClassPayload, "miniprogram_not_linked", byAdmin,
		"The mini program is not linked to the corporation.", "小程序未关联到企业。",
		"Link it in the WeCom console.", "请在管理后台关联该小程序。",
	},
	{
		90207, ClassPayload, "bad_miniprogram_id", byWriter,
		"The mini program's appid is not valid.", "小程序 appid 不合法。",
		"Copy the appid from the mini program's settings.", "请从小程序后台复制 appid。",
	},
	{
		90208, ClassPayload, "miniprogram_mismatch", byWriter,
		"The appid is not the mini program of this app.", "小程序 appid 与应用不匹配。",
		"Use the appid of the mini program that is linked to this app.", "请使用与该应用关联的小程序 appid。",
	},
	{
		93006, ClassPayload, "invalid_chat", byAddresser,
		"The chat's id is not valid; upper and lower case differ.", "会话 ID 不合法（区分大小写）。",
		"Use the id exactly as WeCom gave it.", "请原样使用企业微信给出的 ID。",
	},
	{
		93017, ClassPayload, "content_required", byWriter,
		"The message to the group is empty.", "推送内容不能为空。",
		"Fill the content.", "请填写内容。",
	},
	{
		93018, ClassPayload, "robot_image_too_large", bySupplier,
		"The picture is too large for a robot.", "机器人图片过大。",
		"Shrink it below 2 MB.", "请压缩到 2 MB 以内。",
	},
	{
		301015, ClassPayload, "illegal_media_id", byWriter,
		"The media id cannot be used here.", "media_id 不合法。",
		"Upload the file for this app, with the type that the message needs.", "请用消息所需的类型，为该应用重新上传文件。",
	},
	{
		301016, ClassPayload, "voice_out_of_limits", bySupplier,
		"The voice file is too large or too long.", "语音文件不符合限制。",
		"AMR, at most 2 MB and 60 seconds.", "须为 AMR，不超过 2 MB、60 秒。",
	},
	{
		301017, ClassPayload, "voice_not_amr", bySupplier,
		"The voice file is not AMR.", "语音文件不是 AMR 格式。",
		"Convert it to AMR, or send it as a file.", "请转换为 AMR，或按文件发送。",
	},
	{
		301019, ClassPayload, "md5_mismatch", bySupplier,
		"The checksum does not fit the data.", "文件 MD5 与内容不符。",
		"Compute the MD5 over the raw bytes of the file.", "请对文件原始字节计算 MD5。",
	},
	{
		830001, ClassPayload, "bad_source_url", bySupplier,
		"WeCom cannot fetch a file from this address.", "用于下载文件的 URL 不合法。",
		"Use a public https address that supports ranges, within 1,024 bytes.", "请使用支持 Range 的公网 https 地址，不超过 1024 字节。",
	},
	{
		830002, ClassPayload, "download_too_large", bySupplier,
		"The download or its range is too large.", "下载内容或 Range 过大。",
		"Fetch it in ranges of at most 20 MB.", "请分段下载，每段不超过 20 MB。",
	},
	{
		830003, ClassPayload, "download_failed", bySupplier,
		"WeCom could not fetch the file.", "企业微信下载文件失败。",
		"Check that the address can be reached from the internet.", "请确认该地址可从公网访问。",
	},
	{
		40201, ClassContent, "sensitive_content", byWriter,
		"The content was stopped as sensitive or as spam.", "内容涉及敏感信息或垃圾信息，被拦截。",
		"Change the words; sending the same again may be punished.", "请修改内容；原样重发可能受到处罚。",
	},
	{
		40204, ClassContent, "spam_blocked", byWriter,
		"WeChat's spam guard stopped the message.", "消息被反垃圾策略拦截。",
		"Change the words and send less of the same.", "请修改内容并减少相同消息的发送。",
	},
	{
		82004, ClassContent, "unsafe_content", byWriter,
		"The content could crash a client, so WeCom refuses it.", "内容可能导致客户端异常，被拒绝。",
		"Remove unusual control or combining characters and deep nesting.", "请去除异常的控制字符、组合字符与过深的嵌套。",
	},
	{
		85002, ClassContent, "forbidden_words", byWriter,
		"The message holds forbidden words.", "内容包含违禁词。",
		"Change the words before sending again.", "请修改内容后再发送。",
	},
}
