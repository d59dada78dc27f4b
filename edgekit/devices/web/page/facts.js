// What this browser tells of itself and of its device, as text by name: what goes into a report.

let hidden = 0;
let gpu;
document.addEventListener('visibilitychange', () => { hidden += document.hidden ? 1 : 0; });

const BROWSERS = [
  [/Edg\/(\d+)/, 'Edge'], [/SamsungBrowser\/(\d+)/, 'Samsung Internet'], [/OPR\/(\d+)/, 'Opera'],
  [/FxiOS\/(\d+)/, 'Firefox'], [/Firefox\/(\d+)/, 'Firefox'], [/CriOS\/(\d+)/, 'Chrome'],
  [/HeadlessChrome\/(\d+)/, 'headless Chrome'], [/Chrome\/(\d+)/, 'Chrome'], [/Version\/(\d+).*Safari/, 'Safari'],
];
const SYSTEMS = [/Android [\d.]+/, /iPhone OS [\d_]+/, /CPU OS [\d_]+/, /Windows NT [\d.]+/, /Mac OS X [\d_]+/, /CrOS \S+/, /Linux \w+/];

export async function facts() {
  const agent = navigator.userAgent;
  const found = BROWSERS.find(([pattern]) => pattern.test(agent));
  const told = {
    browser: found ? `${found[1]} ${agent.match(found[0])[1]}` : 'unknown',
    system: SYSTEMS.map(pattern => agent.match(pattern)?.[0]).find(Boolean)?.replace(/ OS (X )?.*/, all => all.replaceAll('_', '.')) ?? 'unknown',
    user_agent: agent,
    cores: String(navigator.hardwareConcurrency ?? 'unknown'),
    memory_class_gb: String(navigator.deviceMemory ?? 'unknown'),
    secure_context: isSecureContext ? 'yes' : 'no',
    isolated: isolation(),
    webgpu: await (gpu ??= webgpu()),
    battery: await battery(),
    page_hidden: String(hidden),
    screen: `${screen.width}x${screen.height}`,
  };
  try {
    const more = await navigator.userAgentData?.getHighEntropyValues(['model', 'platformVersion', 'architecture']);
    if (more?.model) told.board = more.model;
    if (more?.architecture) told.machine = more.architecture;
  } catch { /* the browser does not tell */ }
  return told;
}

export function threadsHere(asked) {
  return self.crossOriginIsolated ? Math.max(1, Math.min(asked, navigator.hardwareConcurrency ?? 1)) : 1;
}

function isolation() {
  if (self.crossOriginIsolated) return 'yes';
  return isSecureContext ? 'no: the host sends no COOP and COEP headers' : 'no: plain http is no secure context';
}

async function webgpu() {
  if (!navigator.gpu) return isSecureContext ? 'no' : 'no: plain http is no secure context';
  try {
    const adapter = await navigator.gpu.requestAdapter();
    return adapter ? `yes: ${adapter.info?.description || adapter.info?.vendor || 'an adapter'}` : 'no adapter';
  } catch (error) {
    return `no: ${error.message}`;
  }
}

async function battery() {
  try {
    const found = await navigator.getBattery?.();
    return found ? `${Math.round(found.level * 100)} %, ${found.charging ? 'charging' : 'discharging'}` : 'unknown';
  } catch {
    return 'unknown';
  }
}

// What measuring or showing pictures goes without here, and what would bring it.
export function missing(backend) {
  const lines = [];
  if (!isSecureContext) {
    lines.push('Plain http is no secure context: no threads, no WebGPU, no camera, not offline, a coarse clock. Https or a loopback address brings them.');
  } else if (!self.crossOriginIsolated) {
    lines.push('The host does not isolate this page (headers COOP and COEP): one thread, a coarse clock.');
  }
  if (backend === 'webgpu' && !navigator.gpu) lines.push('WebGPU was asked for, and this browser has none.');
  return lines;
}
