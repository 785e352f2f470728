import { h, add } from './dom.js';
import { bubble } from './bubbles.js';
import { language, t, toggleLanguage, kindName } from './i18n.js';
import { address, samples, trySample } from './samples.js';

const $ = (id) => document.getElementById(id);
const most = 200; // bubbles kept on the phone

const page = { info: null, members: [], departments: {}, who: '', source: null, ids: new Set(), state: null, seen: {}, lastDay: '' };

async function api(method, path, body) {
  const res = await fetch(`/sandbox/api/${path}`, { method, headers: body === undefined ? {} : { 'Content-Type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) });
  const v = await res.json();
  if (!res.ok) throw new Error(v.error || res.status);
  return v;
}

const clockText = (at, seconds) => new Date(at).toLocaleTimeString(language() === 'zh' ? 'zh-CN' : 'en-GB', { hour: '2-digit', minute: '2-digit', second: seconds ? '2-digit' : undefined, hour12: false });
const nameOf = (m) => (language() === 'zh' ? m.name : m.english_name) || m.name || m.id;
const departmentOf = (m) => (m.departments || []).map((d) => page.departments[d] || d).join('、');
const me = () => page.members.find((m) => m.id === page.who);
const groups = () => page.state?.groups || [];
const ourGroup = () => groups().find((g) => g.key === page.who);
const inGroup = () => /^(robot|chat):/.test(page.who);

// tone gives a member one of eight avatar colours, always the same.
function tone(id) {
  let n = 0;
  for (const ch of id) n = (n * 31 + ch.codePointAt(0)) >>> 0;
  return `tone${n % 8}`;
}

function drawWords() {
  document.documentElement.lang = language() === 'zh' ? 'zh-CN' : 'en';
  document.title = t('title');
  for (const el of document.querySelectorAll('[data-t]')) el.textContent = t(el.dataset.t);
  $('lang').textContent = t('langName');
  drawTheme();
  drawMembers();
  drawPhoneHead();
  drawSamples();
  drawAccess();
  drawActions();
  drawState();
}

function statusOf(m) {
  if (m.status === 2) return t('disabled');
  if (m.status !== 1) return t('inactive');
  return m.unlicensed ? t('unlicensed') : '';
}

// person draws a member or a group of the list.
function person(id, name, face, tag, under) {
  const note = page.state?.latest?.[id];
  if (id === page.who && note) page.seen[id] = note.entry;
  const unread = note && note.entry > (page.seen[id] || 0);
  return h('li', {}, h('button', { type: 'button', class: 'member', 'data-testid': `member-${id}`, 'aria-current': id === page.who ? 'true' : null, on: { click: () => choose(id) } },
    h('span', { class: `avatar ${tone(id)}`, 'aria-hidden': 'true' }, face.slice(-2)),
    h('span', { class: 'lines' },
      h('span', { class: 'line' }, h('b', {}, name), tag ? h('span', { class: 'tag' }, tag) : null, note ? h('time', {}, clockText(note.at)) : null),
      h('span', { class: 'line' }, h('span', { class: 'last' }, note ? `[${kindName(note.kind)}] ${note.text}` : under), unread ? h('span', { class: 'unread', role: 'img', 'aria-label': t('unread') }) : null))));
}

const sizeOf = (g) => (g.members ? t('people', g.members) : t('robot'));

function drawMembers() {
  const focused = document.activeElement?.dataset?.testid;
  $('members').replaceChildren(...page.members.map((m) => person(m.id, nameOf(m), m.name || m.id, statusOf(m), m.id)));
  $('groups').replaceChildren(...groups().map((g) => person(g.key, g.name, g.name, '', sizeOf(g))));
  $('groups').hidden = $('groups-title').hidden = !groups().length;
  if (focused?.startsWith('member-')) document.querySelector(`[data-testid="${CSS.escape(focused)}"]`)?.focus();
}

function drawPhoneHead() {
  const m = me();
  const g = ourGroup();
  $('phone-title').textContent = inGroup() ? g?.name || page.who : page.info?.apps?.[0]?.name || '';
  $('whose').textContent = inGroup() ? (g ? `${g.name} · ${sizeOf(g)}` : page.who) : m ? t('whose', nameOf(m), [m.id, departmentOf(m)].filter(Boolean).join(' · ')) : page.who;
  $('wall').textContent = clockText(page.state?.now || Date.now());
  if (!page.ids.size) drawEmpty();
}

function curl() {
  const app = page.info?.apps?.[0] || {};
  const { path, to, key } = page.info ? address(page.info, page.who) : {};
  const body = JSON.stringify({ ...to, msgtype: 'text', text: { content: '你好，鸿雁' } });
  if (key !== undefined) return `curl "${location.origin}/cgi-bin/${path}?key=${encodeURIComponent(key)}" -d '${body}'`;
  return `TOKEN=$(curl -s '${location.origin}/cgi-bin/gettoken?corpid=${page.info?.corpid}&corpsecret=${app.secret}' | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')\ncurl "${location.origin}/cgi-bin/${path}?access_token=$TOKEN" -d '${body}'`;
}

function copyButton(source) {
  const b = h('button', { type: 'button', class: 'quiet small' }, t('copy'));
  b.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(source());
      b.textContent = t('copied');
    } catch {
      b.textContent = t('copy');
    }
  });
  return b;
}

function drawEmpty() {
  const m = me();
  const off = m && m.status !== 1 ? t('emptyOff') : m?.unlicensed ? t('emptyUnlicensed') : '';
  $('chat').replaceChildren(h('div', { class: 'empty', 'data-testid': 'empty' },
    h('div', { class: 'bird', 'aria-hidden': 'true' }), h('b', {}, t('empty')), h('p', {}, off || t(inGroup() ? 'emptyGroup' : 'emptyNext')),
    off ? null : [h('pre', {}, curl()), copyButton(curl)]));
}

function drawAccess() {
  const app = page.info?.apps?.[0] || {};
  const rows = [['base URL', location.origin], ['corpid', page.info?.corpid], ['agentid', app.agentid], ['secret', app.secret]];
  $('access').replaceChildren(...rows.flatMap(([k, v]) => [h('dt', {}, k), h('dd', {}, h('code', {}, v), copyButton(() => String(v)))]));
}

function drawSamples() {
  $('samples').replaceChildren(...samples(page.who).map((kind) => h('button', { type: 'button', class: 'chip', 'data-testid': `sample-${kind}`, on: { click: async () => {
    const note = $('tried');
    try {
      const a = await trySample(kind, page.info, page.who, language());
      note.textContent = t('sent', ourGroup()?.name || page.who, a.errcode, a.errcode ? a.errmsg.split(',')[0] : '');
    } catch (err) {
      note.textContent = t('failed', err.message);
    }
  } } }, t(`s_${kind}`))));
}

const send = { op: 'message/send' };
const switches = [
  ['45009', 'fault45009', { match: send, errcode: 45009 }],
  ['60020', 'fault60020', { match: send, errcode: 60020 }],
  ['token', 'faultToken', { match: send, errcode: 42001 }],
  ['timeout', 'faultTimeout', { match: send, drop: 'hang' }],
  ['slow', 'faultSlow', { match: send, latency: '3s' }],
  ['html', 'faultHTML', { match: send, html: true }],
];

function drawFaults() {
  const standing = new Map((page.state?.faults || []).map((f) => [f.id, f]));
  const own = new Set(switches.map(([id]) => `page-${id}`));
  const focused = document.activeElement?.dataset?.testid;
  const rows = switches.map(([id, key, fault]) => h('li', {}, h('label', {},
    h('span', {}, h('b', {}, t(key)), h('span', { class: 'dim' }, t(`${key}d`))),
    toggle(`fault-${id}`, standing.has(`page-${id}`), (on) => (on ? api('POST', 'faults', { id: `page-${id}`, ...fault }) : api('DELETE', `faults/page-${id}`))))));
  for (const [id, f] of standing) {
    if (own.has(id)) continue;
    const what = JSON.stringify({ ...f, id: undefined }).slice(0, 160);
    rows.push(h('li', {}, h('label', {}, h('span', {}, h('b', {}, t('faultOther', id)), h('span', { class: 'dim' }, what)), toggle(`fault-${id}`, true, () => api('DELETE', `faults/${encodeURIComponent(id)}`)))));
  }
  $('faults').replaceChildren(...rows);
  if (focused?.startsWith('fault-')) document.querySelector(`[data-testid="${CSS.escape(focused)}"]`)?.focus();
}

function toggle(testid, on, act) {
  const box = h('input', { type: 'checkbox', role: 'switch', class: 'switch', 'data-testid': testid, checked: on });
  box.addEventListener('change', () => act(box.checked).catch((err) => ($('tried').textContent = err.message)));
  return box;
}

function drawActions() {
  const act = (key, fn) => h('button', { type: 'button', class: 'chip', 'data-testid': `action-${key}`, on: { click: async () => {
    try {
      $('tried').textContent = await fn();
    } catch (err) {
      $('tried').textContent = err.message;
    }
  } } }, t(key));
  const move = (advance) => async () => clockText((await api('POST', 'clock', { advance })).now, true);
  $('actions').replaceChildren(
    act('expire', async () => t('expired', (await api('POST', 'tokens/expire', {})).expired)),
    act('plusMinute', move('1m')), act('plusHour', move('1h')),
    act('reset', async () => (await api('POST', 'reset', {}), t('resetDone'))));
}

function result(c) {
  if (c.fault && !c.entry && !c.errcode) return h('span', { class: 'bad' }, c.fault);
  const words = [c.errcode ? String(c.errcode) : '0'];
  if (c.duplicate) words.push(t('duplicate'));
  if (c.dropped) words.push(t('droppedN', c.dropped));
  if (c.fault) words.push(`(${c.fault})`);
  return h('span', { class: c.errcode || c.dropped ? 'bad' : 'good' }, words.join(' '));
}

function drawState() {
  const c = page.state?.counts;
  const refused = c ? Object.entries(c.by_errcode).reduce((n, [code, k]) => n + (code === '0' ? 0 : k), 0) : 0;
  const totals = [['taken', c?.taken], ['delivered', c?.delivered], ['dropped', c?.dropped], ['duplicates', c?.duplicates], ['refused', refused], ['gettoken', c?.gettoken]];
  $('totals').replaceChildren(...totals.map(([k, v]) => h('div', {}, h('dt', {}, t(k)), h('dd', { 'data-testid': `total-${k}` }, v ?? 0))));
  const calls = (page.state?.calls || []).slice().reverse();
  const rows = calls.map((x) => h('tr', {}, h('td', {}, clockText(x.at, true)), h('td', { class: 'got' }, result(x)), h('td', {}, x.op.replace('message/', ''), x.kind ? h('span', { class: 'dim' }, ` ${x.kind}`) : null), h('td', { class: 'to', title: x.to || '' }, x.to || '–')));
  $('calls').replaceChildren(...(rows.length ? rows : [h('tr', {}, h('td', { colspan: 4, class: 'dim' }, t('noCalls')))]));
  drawFaults();
}

function show(entry) {
  if (page.ids.has(entry.id)) return;
  const chat = $('chat');
  if (!page.ids.size) chat.replaceChildren();
  page.ids.add(entry.id);
  const minute = clockText(entry.at);
  const near = chat.scrollHeight - chat.scrollTop - chat.clientHeight < 160;
  if (minute !== page.lastMinute) chat.append(h('div', { class: 'when' }, minute));
  page.lastMinute = minute;
  chat.append(bubble(entry));
  while (chat.childElementCount > most) chat.firstElementChild.remove();
  if (near) requestAnimationFrame(() => { chat.scrollTop = chat.scrollHeight; });
}

function clear() {
  page.ids.clear();
  page.lastMinute = '';
  drawEmpty();
}

function choose(id) {
  page.who = id;
  const url = new URL(location.href);
  if (url.searchParams.get('member') !== id) {
    url.searchParams.set('member', id);
    history.replaceState(null, '', url);
  }
  clear();
  drawMembers();
  drawPhoneHead();
  drawSamples();
  page.source?.close();
  const [, sort = 'member', name = id] = /^(robot|chat):(.*)$/s.exec(id) || [];
  const source = new EventSource(`/sandbox/stream?${sort}=${encodeURIComponent(name)}`);
  page.source = source;
  source.onopen = () => { clear(); page.seen = page.seen || {}; linkState(true); };
  source.onerror = () => linkState(false);
  source.addEventListener('clear', () => { page.seen = {}; clear(); });
  source.addEventListener('entry', (ev) => show(JSON.parse(ev.data)));
  source.addEventListener('state', (ev) => {
    page.state = JSON.parse(ev.data);
    drawMembers();
    if (inGroup()) drawPhoneHead();
    drawState();
    $('wall').textContent = clockText(page.state.now);
  });
}

function linkState(ok) {
  $('link').textContent = ok ? t('live') : t('lost');
  $('link').classList.toggle('off', !ok);
}

const themes = ['auto', 'light', 'dark'];
let theme = 'auto';

function drawTheme() {
  document.documentElement.dataset.theme = theme;
  $('theme').textContent = t({ auto: 'themeAuto', light: 'themeLight', dark: 'themeDark' }[theme]);
}

async function start() {
  try {
    theme = themes.includes(localStorage.getItem('sandbox.theme')) ? localStorage.getItem('sandbox.theme') : 'auto';
  } catch {
    theme = 'auto';
  }
  $('theme').addEventListener('click', () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try {
      localStorage.setItem('sandbox.theme', theme);
    } catch {
      // private mode
    }
    drawTheme();
  });
  $('lang').addEventListener('click', () => {
    toggleLanguage();
    drawWords();
    choose(page.who);
  });
  drawWords();
  const [info, members] = await Promise.all([api('GET', 'info'), api('GET', 'members')]);
  page.info = info;
  page.members = members.items;
  page.departments = Object.fromEntries(members.departments.map((d) => [d.id, d.name]));
  const asked = new URLSearchParams(location.search).get('member');
  page.who = members.items.find((m) => m.id.toLowerCase() === asked?.toLowerCase())?.id || asked || members.items[0]?.id || '';
  drawWords();
  choose(page.who);
}

start().catch((err) => add($('chat'), [h('p', { class: 'empty' }, err.message)]));
