// One function per kind of message: what a member's phone draws for it.

import { h, link, list, safeURL, text } from './dom.js';
import { cardNodes, markdownNodes, plain, textNodes } from './markup.js';
import { t } from './i18n.js';

// bubble draws a ledger entry.
export function bubble(entry) {
  const draw = kinds[entry.kind] || unknown;
  const content = entry.content && typeof entry.content === 'object' ? entry.content : {};
  const box = h('div', { class: `bubble ${entry.kind in kinds ? entry.kind : 'unknown'}`, 'data-testid': `bubble-${entry.kind}`, 'data-entry': entry.id }, draw(content, entry));
  const marks = [];
  if (entry.cut?.length) marks.push(h('span', { class: 'mark' }, t('cut', entry.cut.join(', '))));
  if (entry.safe) marks.push(h('span', { class: 'mark' }, t('safe')));
  if (entry.fault) marks.push(h('span', { class: 'mark bad' }, t('spoilt', entry.fault)));
  return h('div', { class: 'turn' }, h('span', { class: 'face', 'aria-hidden': 'true' }, '雁'), h('div', { class: 'said' }, box, marks.length ? h('div', { class: 'marks' }, marks) : null));
}

const kinds = {
  text: (c) => h('p', {}, textNodes(text(c.content)), mentions(c).map((who) => h('span', { class: 'dim' }, ` @${who}`))),
  markdown: (c) => markdownNodes(text(c.content)),
  markdown_v2: (c) => markdownNodes(text(c.content)),
  image: (c) => stored(c.media_id, 'pic', c.filename),
  voice: (c) => [h('span', { class: 'waves', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')), h('span', {}, t('voice')), h('span', { class: 'dim' }, size(c.size))],
  video: (c) => [
    h('a', { class: 'film', href: media(c.media_id), target: '_blank', rel: 'noopener', 'aria-label': t('play') }, h('span', { class: 'play' })),
    c.title ? h('div', { class: 'title' }, text(c.title)) : null,
    c.description ? h('div', { class: 'desc' }, text(c.description)) : null,
  ],
  file: (c) => {
    const name = text(c.filename) || 'file';
    const ext = (/\.([a-z0-9]{1,5})$/i.exec(name)?.[1] || 'file').toLowerCase();
    return h('a', { class: 'row', href: media(c.media_id), download: name }, h('span', { class: 'what' }, h('span', { class: 'title' }, name), h('span', { class: 'dim' }, size(c.size))), h('span', { class: `sheet ${fileClass(ext)}`, 'aria-hidden': 'true' }, ext.toUpperCase().slice(0, 4)));
  },
  textcard: (c) => [h('div', { class: 'title' }, text(c.title)), h('div', { class: 'desc' }, cardNodes(text(c.description))), action(c.url, text(c.btntxt) || '详情')],
  news: (c) => articles(list(c.articles).map((a) => ({ title: text(a.title), desc: text(a.description), url: a.url, pic: (cls) => remote(a.picurl, cls) }))),
  mpnews: (c) => [
    articles(list(c.articles).map((a) => ({ title: text(a.title), desc: text(a.digest) || plain(text(a.content)).slice(0, 120), url: a.content_source_url, by: text(a.author), pic: (cls) => stored(a.thumb_media_id, cls) }))),
  ],
  miniprogram_notice: (c) => [
    h('div', { class: 'source' }, h('span', { class: 'mini', 'aria-hidden': 'true' }), t('mini')),
    h('div', { class: 'title' }, text(c.title)),
    c.description ? h('div', { class: 'dim' }, text(c.description)) : null,
    rows(list(c.content_item).map((i) => [text(i.key), text(i.value)])),
  ],
  template_card: card,
};

// mentions lists whom a robot calls upon.
function mentions(c) {
  return [c.mentioned_list, c.mentioned_mobile_list].flatMap((l) => (Array.isArray(l) ? l.map((v) => text(v)) : []));
}

function unknown(c, entry) {
  return [h('div', { class: 'dim' }, t('unknownKind', entry.kind)), h('code', {}, JSON.stringify(c).slice(0, 400))];
}

function action(url, label) {
  const href = safeURL(url);
  return href ? h('a', { class: 'action', href, target: '_blank', rel: 'noopener noreferrer' }, label) : h('span', { class: 'action' }, label);
}

function articles(all) {
  if (all.length === 1) {
    const a = all[0];
    return link(a.url, h('div', { class: 'lead' }, a.pic('cover')), h('div', { class: 'title' }, a.title), a.by ? h('div', { class: 'dim' }, a.by) : null, a.desc ? h('div', { class: 'desc' }, a.desc) : null);
  }
  return all.map((a, i) =>
    i === 0
      ? h('div', { class: 'first' }, link(a.url, a.pic('cover'), h('div', { class: 'over' }, a.title)))
      : h('div', { class: 'item' }, link(a.url, h('span', { class: 'title' }, a.title), a.pic('thumb'))),
  );
}

function media(id) {
  return `/sandbox/media/${encodeURIComponent(text(id))}`;
}

// stored shows an uploaded picture; when it is gone, a grey field says so.
function stored(id, cls, alt) {
  const img = h('img', { class: cls, src: media(id), alt: text(alt) || t('picture'), loading: 'lazy' });
  img.addEventListener('error', () => img.replaceWith(blank(cls, t('gone'))));
  return img;
}

// remote shows a picture of this sandbox. The page loads nothing from other
// hosts, so a foreign one becomes a field with its host's name.
function remote(url, cls) {
  const href = safeURL(url);
  if (!href) return cls === 'thumb' ? blank(cls, '') : blank(cls, t('noPicture'));
  const u = new URL(href);
  if (u.pathname.startsWith('/sandbox/media/')) return stored(decodeURIComponent(u.pathname.slice('/sandbox/media/'.length)), cls);
  return blank(cls, cls === 'thumb' ? '' : u.host);
}

function blank(cls, label) {
  return h('span', { class: `${cls} blank` }, h('span', {}, label));
}

function rows(pairs) {
  return pairs.length ? h('dl', { class: 'rows' }, pairs.map(([k, v]) => [h('dt', {}, k), h('dd', {}, v)])) : null;
}

function button(b, primary) {
  const style = [1, 2, 3, 4].includes(b.style) ? b.style : primary ? 1 : 2;
  return h('button', { class: `tap style${style}`, type: 'button', disabled: true, title: t('tapLater') }, text(b.text));
}

function options(q, type) {
  return h('ul', { class: 'options' }, list(q?.option_list).map((o) => h('li', { class: o.is_checked || o.id === q.selected_id ? 'on' : '' }, h('span', { class: type, 'aria-hidden': 'true' }), text(o.text))));
}

function card(c) {
  const image = c.image_text_area && typeof c.image_text_area === 'object' ? c.image_text_area : null;
  const jump = safeURL(c.card_action?.url);
  return [
    c.source?.desc ? h('div', { class: `source tone${[1, 2, 3].includes(c.source.desc_color) ? c.source.desc_color : 0}` }, h('span', { class: 'dot', 'aria-hidden': 'true' }), text(c.source.desc)) : null,
    c.card_image?.url ? remote(c.card_image.url, 'cover') : null,
    c.main_title?.title ? h('div', { class: 'title' }, text(c.main_title.title)) : null,
    c.main_title?.desc ? h('div', { class: 'dim' }, text(c.main_title.desc)) : null,
    image ? h('div', { class: 'beside' }, remote(image.image_url, 'thumb'), h('div', {}, h('div', {}, text(image.title)), h('div', { class: 'dim' }, text(image.desc)))) : null,
    c.emphasis_content?.title ? h('div', { class: 'big' }, h('b', {}, text(c.emphasis_content.title)), h('div', { class: 'dim' }, text(c.emphasis_content.desc))) : null,
    c.quote_area?.quote_text || c.quote_area?.title ? h('blockquote', {}, h('div', {}, text(c.quote_area.title)), h('div', {}, text(c.quote_area.quote_text))) : null,
    c.sub_title_text ? h('div', { class: 'desc' }, text(c.sub_title_text)) : null,
    rows(list(c.horizontal_content_list).map((r) => [text(r.keyname), r.type === 1 ? link(r.url, text(r.value)) : text(r.value)])),
    list(c.vertical_content_list).map((v) => h('div', { class: 'vert' }, h('div', {}, text(v.title)), h('div', { class: 'dim' }, text(v.desc)))),
    list(c.select_list).map((q) => h('div', { class: 'ask' }, h('div', { class: 'dim' }, text(q.title)), options(q, 'radio'))),
    c.button_selection ? h('div', { class: 'ask' }, h('div', { class: 'dim' }, text(c.button_selection.title)), options(c.button_selection, 'radio')) : null,
    c.checkbox ? options(c.checkbox, c.checkbox.mode === 1 ? 'check' : 'radio') : null,
    list(c.button_list).length ? h('div', { class: 'taps' }, list(c.button_list).map((b, i) => button(b, i === 0))) : null,
    c.submit_button?.text ? h('div', { class: 'taps' }, button({ text: c.submit_button.text, style: 1 })) : null,
    list(c.jump_list).map((j) => h('div', { class: 'jump' }, link(j.url, text(j.title)))),
    jump && !list(c.jump_list).length && !list(c.button_list).length ? action(jump, '详情') : null,
  ];
}

export function size(n) {
  const v = Number(n) || 0;
  if (v < 1024) return `${v} B`;
  return v < 1048576 ? `${(v / 1024).toFixed(1)} KB` : `${(v / 1048576).toFixed(1)} MB`;
}

function fileClass(ext) {
  if (['doc', 'docx', 'txt', 'md'].includes(ext)) return 'blue';
  if (['xls', 'xlsx', 'csv'].includes(ext)) return 'green';
  if (['pdf', 'ppt', 'pptx'].includes(ext)) return 'red';
  return 'grey';
}
