// The page's parts: what stands in them, for eyes and for screen readers alike.

export const $ = id => document.getElementById(id);

export function say(text) {
  if ($('status').textContent !== text) $('status').textContent = text;
}

export function busy(on) {
  $('progress').hidden = !on;
}

export function alarm(text) {
  $('alarm').textContent = text;
  $('alarm').hidden = !text;
  if (text) busy(false);
}

// Rows of a <dl>; `large` names the terms that a reader looks for.
export function rows(list, told, large = []) {
  list.replaceChildren(...Object.entries(told).flatMap(([term, value]) => {
    const name = large.includes(term) ? 'large' : '';
    return [element('dt', term, name), element('dd', value, name)];
  }));
}

export function bullets(list, lines) {
  list.replaceChildren(...lines.map(line => element('li', line)));
  list.hidden = !lines.length;
}

export function element(tag, text, name = '') {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

export function percentile(values, percent) {
  const sorted = Float64Array.from(values).sort();
  const place = (sorted.length - 1) * percent / 100;
  const low = Math.floor(place);
  return sorted[low] + (sorted[Math.ceil(place)] - sorted[low]) * (place - low);
}

export function milliseconds(nanoseconds) {
  return `${(nanoseconds / 1e6).toPrecision(3)} ms`;
}

export function humanBytes(count) {
  return count < 1e6 ? `${(count / 1e3).toFixed(0)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}
