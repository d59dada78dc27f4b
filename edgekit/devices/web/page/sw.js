// Keeps what the page has loaded, and gives it where the network does not; adds the headers that isolate a page.

const NAME = `edgekit ${self.registration.scope}`;
const ISOLATING = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', event => event.waitUntil(Promise.all([self.clients.claim(), forget()])));

// A run's link is its own: what an older one left at this address is of no use.
async function forget() {
  const names = await caches.keys();
  await Promise.all(names.filter(name => name.startsWith('edgekit ') && name !== NAME).map(name => caches.delete(name)));
}

self.addEventListener('message', event => event.waitUntil(event.data.bye ? bye(event.data.bye) : Promise.all(event.data.map(keep))));

async function bye(body) {
  try { await fetch(new URL('api/bye', self.registration.scope), {method: 'POST', body}); } catch { /* edgekit is gone too */ }
}

async function keep(name) {
  const url = new URL(name === 'index.html' ? './' : name, self.registration.scope);
  try { await fromNetwork(new Request(url)); } catch { /* kept when it is next asked for */ }
}

self.addEventListener('fetch', event => {
  const {request} = event;
  const inside = request.url.startsWith(self.registration.scope) && !request.url.startsWith(`${self.registration.scope}api/`);
  if (request.method === 'GET' && inside) event.respondWith(answer(request));
});

async function answer(request) {
  try {
    return await fromNetwork(request);
  } catch (error) {
    const kept = await (await caches.open(NAME)).match(request, {ignoreSearch: true, ignoreVary: true});
    if (kept) return kept;
    throw error;
  }
}

async function fromNetwork(request) {
  const response = await fetch(request);
  if (!response.ok || response.type === 'opaque') return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATING)) headers.set(name, value);
  const isolated = new Response(response.body, {status: response.status, headers});
  await (await caches.open(NAME)).put(request, isolated.clone());
  return isolated;
}
