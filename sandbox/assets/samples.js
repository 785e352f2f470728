// Samples that the page sends through WeCom's own routes, as any program would.

const all = ['text', 'textcard', 'markdown', 'news', 'image', 'file', 'template_card'];
const ofRobots = ['text', 'markdown', 'news', 'file', 'template_card'];

// samples lists what can be tried on a member, "robot:NAME" or "chat:ID".
export function samples(who) {
  if (who.startsWith('robot:')) return ofRobots;
  return who.startsWith('chat:') ? all.filter((kind) => kind !== 'template_card') : all;
}

const zh = {
  text: '货物延迟通知\n单号 SF-20261124 预计晚到 2 小时。\n<a href="https://example.com/track/1">查看物流</a>',
  card: { title: '[billing] 程序预警', description: '<div class="gray">11月24日 10:32</div><div class="normal">内存占用 91 %，请尽快处理。</div><div class="highlight">如 15 分钟内未恢复将自动重启。</div>', btntxt: '查看' },
  markdown: '# 部署通知\n**billing** 已发布到 <font color="info">生产环境</font>\n> 版本：`v42.1`\n> 耗时：<font color="comment">3 分 12 秒</font>\n> 异常：<font color="warning">1 个</font>\n[查看发布单](https://example.com/deploy/42)',
  news: ['本周值班安排', '鸿雁 1.0 上线：消息不再丢失', '仓库盘点提醒'],
  approve: { title: '发布 api v42？', desc: '李四 提交于 10:32', env: '环境', by: '提交人', ok: '同意', no: '驳回', who: '李四', src: '发布系统' },
  file: '盘点清单.csv',
};

const en = {
  text: 'Delivery delayed\nParcel SF-20261124 is about 2 hours late.\n<a href="https://example.com/track/1">Track it</a>',
  card: { title: '[billing] alert', description: '<div class="gray">24 Nov, 10:32</div><div class="normal">Memory at 91 %.</div><div class="highlight">Restarts in 15 minutes unless it recovers.</div>', btntxt: 'Open' },
  markdown: '# Deployed\n**billing** is now in <font color="info">production</font>\n> version: `v42.1`\n> took: <font color="comment">3 min 12 s</font>\n> errors: <font color="warning">1</font>\n[Release note](https://example.com/deploy/42)',
  news: ['On call this week', 'Hongyan 1.0: no message lost', 'Stocktaking on Friday'],
  approve: { title: 'Deploy api v42?', desc: 'asked by Li Si at 10:32', env: 'env', by: 'by', ok: 'Approve', no: 'Reject', who: 'Li Si', src: 'Releases' },
  file: 'stock.csv',
};

// painting is a small picture, drawn here so that the page ships none.
function painting(kind) {
  const canvas = document.createElement('canvas');
  canvas.width = 640;
  canvas.height = 276;
  const g = canvas.getContext('2d');
  const sky = g.createLinearGradient(0, 0, 0, 276);
  sky.addColorStop(0, '#8fb7e8');
  sky.addColorStop(1, '#f7d9b0');
  g.fillStyle = sky;
  g.fillRect(0, 0, 640, 276);
  g.strokeStyle = '#2b3a55';
  g.lineWidth = 5;
  g.lineCap = 'round';
  for (let i = 0; i < 7; i++) {
    const x = 120 + i * 58;
    const y = 190 - Math.abs(3 - i) * -22 - 90;
    g.beginPath();
    g.moveTo(x - 20, y);
    g.quadraticCurveTo(x - 8, y - 14, x, y);
    g.quadraticCurveTo(x + 8, y - 14, x + 20, y);
    g.stroke();
  }
  return new Promise((done) => canvas.toBlob(done, kind));
}

async function call(path, init) {
  const res = await fetch(path, init);
  const a = await res.json();
  if (a.errcode && !/^\/cgi-bin\/\w+\/send\?/.test(path)) throw new Error(`${a.errcode} ${a.errmsg}`);
  return a;
}

async function upload(token, path, blob, name) {
  const form = new FormData();
  form.append('media', blob, name);
  return call(`${path}${token}`, { method: 'POST', body: form });
}

// address says where a message to who goes and what names the receiver in it.
export function address(info, who) {
  const colon = who.indexOf(':');
  const name = who.slice(colon + 1);
  if (who.startsWith('robot:')) return { path: 'webhook/send', to: {}, key: info.robots.find((r) => r.name === name)?.key || '' };
  if (who.startsWith('chat:')) return { path: 'appchat/send', to: { chatid: name } };
  return { path: 'message/send', to: { touser: who, agentid: info.apps[0]?.agentid } };
}

// trySample sends one message to who and returns WeCom's answer.
export async function trySample(kind, info, who, lang) {
  const app = info.apps[0];
  const w = lang === 'zh' ? zh : en;
  const { path, to, key } = address(info, who);
  const { access_token } = await call(`/cgi-bin/gettoken?corpid=${encodeURIComponent(info.corpid)}&corpsecret=${encodeURIComponent(app.secret)}`);
  const token = `access_token=${encodeURIComponent(access_token)}`;
  const own = key === undefined ? token : `key=${encodeURIComponent(key)}`;
  const url = 'https://example.com/';
  let content;
  if (kind === 'text') content = { content: w.text };
  else if (kind === 'textcard') content = { ...w.card, url };
  else if (kind === 'markdown') content = { content: w.markdown };
  else if (kind === 'news') {
    const { url: picurl } = await upload(token, '/cgi-bin/media/uploadimg?', await painting('image/png'), 'geese.png');
    content = { articles: w.news.map((title) => ({ title, url, picurl })) };
  } else if (kind === 'image') {
    const { media_id } = await upload(token, '/cgi-bin/media/upload?type=image&', await painting('image/jpeg'), 'geese.jpg');
    content = { media_id };
  } else if (kind === 'file') {
    const { media_id } = await upload(own, key === undefined ? '/cgi-bin/media/upload?type=file&' : '/cgi-bin/webhook/upload_media?type=file&', new Blob(['sku,count\nA-1,12\nB-7,3\n']), w.file);
    content = { media_id };
  } else if (key !== undefined) {
    const a = w.approve;
    content = {
      card_type: 'text_notice', source: { desc: a.src, desc_color: 1 }, main_title: { title: a.title, desc: a.desc },
      horizontal_content_list: [{ keyname: a.env, value: 'prod' }, { keyname: a.by, value: a.who }], card_action: { type: 1, url },
    };
  } else {
    const a = w.approve;
    content = {
      card_type: 'button_interaction', task_id: `sample-${Date.now()}`, source: { desc: a.src, desc_color: 1 },
      main_title: { title: a.title, desc: a.desc },
      horizontal_content_list: [{ keyname: a.env, value: 'prod' }, { keyname: a.by, value: a.who }],
      button_list: [{ text: a.ok, style: 1, key: 'ok' }, { text: a.no, style: 3, key: 'no' }],
    };
  }
  return call(`/cgi-bin/${path}?${own}`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...to, msgtype: kind, [kind]: content }),
  });
}
