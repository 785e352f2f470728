// All words of the page, in both languages.

const words = {
  zh: {
    title: '企业微信沙箱', fake: '模拟环境，不连接企业微信', skip: '跳到手机画面', members: '成员', groups: '群', people: '{0} 人', robot: '群机器人', emptyGroup: '点右侧的样例，或在终端运行下面的命令，群里的消息会立刻出现在这里。', tryIt: '发一条试试',
    access: '接入参数', faults: '故障开关', faultsHint: '打开后，对发送接口立即生效。', ledger: '台账',
    colTime: '时间', colCall: '调用', colTo: '接收者', colResult: '结果', live: '实时', lost: '连接中断，正在重连…',
    themeAuto: '跟随系统', themeLight: '浅色', themeDark: '深色', langName: 'English',
    whose: '{0} 的手机 · {1}', disabled: '已停用', inactive: '未激活', unlicensed: '无接口许可',
    empty: '还没有消息', emptyNext: '点右侧的样例，或在终端运行下面的命令，消息会立刻出现在这里。', emptyOff: '该成员收不到应用消息：发给 TA 会出现在 invaliduser。', emptyUnlicensed: '该成员没有接口许可：发给 TA 会出现在 unlicenseduser。',
    copy: '复制', copied: '已复制', cut: '企业微信已截断：{0}', safe: '保密消息', spoilt: '故障：{0}', voice: '语音消息', play: '播放视频',
    mini: '小程序通知', picture: '图片', gone: '图片已不存在', noPicture: '无图片', unknownKind: '暂不支持此消息类型：{0}', tapLater: '沙箱暂不回传卡片点击',
    fault45009: '频率超限', fault60020: 'IP 不可信', faultToken: '令牌一直过期', faultTimeout: '超时，不应答', faultSlow: '慢 3 秒', faultHTML: '返回网页而非 JSON',
    fault45009d: '发送一律返回 45009', fault60020d: '发送一律返回 60020', faultTokend: '发送一律返回 42001', faultTimeoutd: '收下请求，不处理也不应答', faultSlowd: '三秒后才处理发送', faultHTMLd: '像被代理或门户劫持',
    faultOther: '其他故障：{0}', expire: '作废全部令牌', expired: '已作废 {0} 个令牌', plusMinute: '时钟 +1 分钟', plusHour: '时钟 +1 小时', reset: '清空沙箱', resetDone: '已清空',
    taken: '已收', delivered: '送达', dropped: '静默丢弃', duplicates: '重复', gettoken: '取令牌', refused: '拒绝', noCalls: '还没有调用', duplicate: '重复，未送达', unread: '有新消息',
    droppedN: '丢弃 {0}', sent: '已发送给 {0}：errcode {1} {2}', failed: '发送没有完成：{0}',
    s_text: '文本', s_textcard: '文本卡片', s_markdown: 'Markdown', s_news: '图文', s_image: '图片', s_file: '文件', s_template_card: '模板卡片', k_markdown_v2: 'Markdown v2', k_voice: '语音', k_video: '视频', k_mpnews: '图文 mpnews', k_miniprogram_notice: '小程序通知',
  },
  en: {
    title: 'WeCom sandbox', fake: 'A simulation, not connected to WeCom', skip: 'Skip to the phone', members: 'Members', groups: 'Groups', people: '{0} members', robot: 'Group robot', emptyGroup: 'Pick a sample on the right, or run this in a terminal. What is said in the group shows up here at once.', tryIt: 'Send a sample',
    access: 'How to connect', faults: 'Faults', faultsHint: 'A switch acts on the send call at once.', ledger: 'Ledger',
    colTime: 'Time', colCall: 'Call', colTo: 'To', colResult: 'Result', live: 'Live', lost: 'Connection lost, retrying…',
    themeAuto: 'System theme', themeLight: 'Light', themeDark: 'Dark', langName: '中文',
    whose: 'Phone of {0} · {1}', disabled: 'disabled', inactive: 'not activated', unlicensed: 'no licence',
    empty: 'No messages yet', emptyNext: 'Pick a sample on the right, or run this in a terminal. The message shows up here at once.', emptyOff: 'This member cannot receive: messages end in invaliduser.', emptyUnlicensed: 'This member has no licence: messages end in unlicenseduser.',
    copy: 'Copy', copied: 'Copied', cut: 'Cut by WeCom: {0}', safe: 'Confidential', spoilt: 'Fault: {0}', voice: 'Voice message', play: 'Play video',
    mini: 'Mini program', picture: 'Picture', gone: 'The picture is gone', noPicture: 'No picture', unknownKind: 'Cannot show this kind: {0}', tapLater: 'The sandbox does not report taps yet',
    fault45009: 'Rate limited', fault60020: 'IP not trusted', faultToken: 'Token always expired', faultTimeout: 'Timeout, no answer', faultSlow: '3 seconds slow', faultHTML: 'A web page, not JSON',
    fault45009d: 'every send gets 45009', fault60020d: 'every send gets 60020', faultTokend: 'every send gets 42001', faultTimeoutd: 'takes the request, never answers', faultSlowd: 'works on a send after three seconds', faultHTMLd: 'as from a proxy or portal',
    faultOther: 'Other fault: {0}', expire: 'Expire all tokens', expired: '{0} token(s) expired', plusMinute: 'Clock +1 min', plusHour: 'Clock +1 h', reset: 'Reset', resetDone: 'Reset done',
    taken: 'Taken', delivered: 'Delivered', dropped: 'Dropped', duplicates: 'Duplicates', gettoken: 'gettoken', refused: 'Refused', noCalls: 'No calls yet', duplicate: 'duplicate, not delivered', unread: 'new message',
    droppedN: '{0} dropped', sent: 'Sent to {0}: errcode {1} {2}', failed: 'The send did not finish: {0}',
    s_text: 'Text', s_textcard: 'Text card', s_markdown: 'Markdown', s_news: 'News', s_image: 'Image', s_file: 'File', s_template_card: 'Template card', k_markdown_v2: 'Markdown v2', k_voice: 'Voice', k_video: 'Video', k_mpnews: 'News (mpnews)', k_miniprogram_notice: 'Mini program',
  },
};

let current = remembered() || ((navigator.languages || [navigator.language]).find((l) => /^(zh|en)/i.test(l)) || 'zh').slice(0, 2).toLowerCase();

function remembered() {
  try {
    const v = localStorage.getItem('sandbox.lang');
    return v in words ? v : '';
  } catch {
    return '';
  }
}

export function language() {
  return current;
}

export function toggleLanguage() {
  current = current === 'zh' ? 'en' : 'zh';
  try {
    localStorage.setItem('sandbox.lang', current);
  } catch {
    // private mode: the choice lasts as long as the page
  }
}

// t returns the words for key with {0}, {1}… filled in.
export function t(key, ...args) {
  const s = words[current][key] ?? key;
  return s.replace(/\{(\d)\}/g, (all, i) => args[i] ?? all);
}

export function kindName(kind) {
  return words[current][`s_${kind}`] || words[current][`k_${kind}`] || kind || '';
}
