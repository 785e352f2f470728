// The tiny markups of WeCom, parsed by hand into nodes: links in text, div and
// br in textcards, the markdown subset. Everything else stays visible as text.

import { h, link } from './dom.js';

const anchor = /<a\s+(?:[^<>]*?\s)?href\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)')[^<>]*>([^<]*)<\/a>/gi;
const bare = /https?:\/\/[^\s<>"'，。；！？、）】》]+/g;

// textNodes renders the content of a text message.
export function textNodes(source) {
  const out = [];
  let at = 0;
  for (const m of source.matchAll(anchor)) {
    out.push(...bareLinks(source.slice(at, m.index)), link(m[1] ?? m[2] ?? '', m[3]));
    at = m.index + m[0].length;
  }
  out.push(...bareLinks(source.slice(at)));
  return out;
}

function bareLinks(source) {
  const out = [];
  let at = 0;
  for (const m of source.matchAll(bare)) {
    out.push(source.slice(at, m.index), link(m[0], m[0]));
    at = m.index + m[0].length;
  }
  out.push(source.slice(at));
  return out;
}

const shades = new Set(['gray', 'highlight', 'normal']);

// cardNodes renders a textcard's description: <br> and
// <div class="gray|highlight|normal">, character references, line breaks.
export function cardNodes(source) {
  const out = [];
  let open = null;
  const put = (node) => (open ? open.append(node) : out.push(node));
  for (const part of source.split(/(<br\s*\/?>|<\/?div[^<>]*>)/i)) {
    if (/^<br/i.test(part)) put(h('br'));
    else if (/^<div/i.test(part)) {
      const name = /class\s*=\s*["']?\s*([a-z]+)/i.exec(part)?.[1]?.toLowerCase();
      open = h('div', { class: shades.has(name) ? name : 'normal' });
      out.push(open);
    } else if (/^<\/div/i.test(part)) open = null;
    else if (part) put(unescape(part));
  }
  return out;
}

const named = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'", nbsp: '\u00a0' };

// unescape reads the character references that a textcard may hold.
export function unescape(source) {
  return source.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,5}));/gi, (all, dec, hex, name) => {
    if (name) return named[name.toLowerCase()] ?? all;
    const code = dec ? Number(dec) : parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : all;
  });
}

// markdownNodes renders the subset of app messages: headings, bold, links,
// one-line code, quotes, font colours.
export function markdownNodes(source) {
  const out = [];
  let quote = null;
  for (const line of source.replace(/\r\n?/g, '\n').split('\n')) {
    const quoted = /^\s{0,3}>\s?(.*)$/.exec(line);
    if (quoted) {
      if (!quote) out.push((quote = h('blockquote')));
      quote.append(h('div', {}, inline(quoted[1])));
      continue;
    }
    quote = null;
    const head = /^(#{1,6})\s+(.*)$/.exec(line);
    if (head) out.push(h('div', { class: `h h${head[1].length}`, role: 'heading', 'aria-level': 3 }, inline(head[2])));
    else if (line.trim() === '') out.push(h('div', { class: 'gap' }));
    else out.push(h('div', {}, inline(line)));
  }
  return out;
}

const colors = new Set(['info', 'comment', 'warning']);
const spans = /`([^`\n]+)`|\*\*(.+?)\*\*|\[([^\]\n]*)\]\(([^()\s]*)\)|<font\s+color\s*=\s*["']?(\w+)["']?\s*>(.*?)<\/font>/i;

// inline renders one line; nesting is followed eight levels deep.
function inline(source, depth = 0) {
  const out = [];
  let rest = source;
  while (rest) {
    const m = depth < 8 ? spans.exec(rest) : null;
    if (!m) {
      out.push(rest);
      break;
    }
    out.push(rest.slice(0, m.index));
    if (m[1] !== undefined) out.push(h('code', {}, m[1]));
    else if (m[2] !== undefined) out.push(h('strong', {}, inline(m[2], depth + 1)));
    else if (m[3] !== undefined) out.push(link(m[4], inline(m[3], depth + 1)));
    else out.push(h('span', { class: colors.has(m[5].toLowerCase()) ? `font-${m[5].toLowerCase()}` : '' }, inline(m[6], depth + 1)));
    rest = rest.slice(m.index + m[0].length);
  }
  return out;
}

// plain strips tags for a preview of an mpnews body.
export function plain(source) {
  return unescape(source.replace(/<(script|style)[\s\S]*?<\/\1>/gi, ' ').replace(/<[^<>]*>/g, ' ')).replace(/\s+/g, ' ').trim();
}
