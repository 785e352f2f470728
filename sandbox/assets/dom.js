// The only way this page makes elements. Text always goes in as text: nothing
// that a message carries is ever read as HTML by the browser.

export function h(tag, attrs, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'on') for (const [type, fn] of Object.entries(value)) el.addEventListener(type, fn);
    else if (name === 'class') el.className = value;
    else el.setAttribute(name, value === true ? '' : String(value));
  }
  add(el, children);
  return el;
}

export function add(el, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    el.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return el;
}

// safeURL returns the address when it is http(s), else ''.
export function safeURL(text) {
  try {
    const u = new URL(String(text));
    return u.protocol === 'http:' || u.protocol === 'https:' ? u.href : '';
  } catch {
    return '';
  }
}

export function link(url, ...children) {
  const href = safeURL(url);
  if (!href) return h('span', {}, ...children);
  return h('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, ...children);
}

// text returns v when it is a string or a number, else ''.
export function text(v) {
  return typeof v === 'string' ? v : typeof v === 'number' ? String(v) : '';
}

export function list(v) {
  return Array.isArray(v) ? v.filter((x) => x && typeof x === 'object') : [];
}
