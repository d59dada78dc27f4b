// edgekit stands behind this page: it is asked what to do, and told what came of it.

import {appPath} from './app.js';
import {facts} from './facts.js';
import {fetched, run} from './runner.js';
import {alarm, busy, say} from './show.js';

const ALIVE_MS = 2000;
const RETRY_MS = 1000;
const GIVE_UP_MS = 25_000;
const KEPT = 4;

const client = sessionStorage.client ??= Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('');
const files = new Map();
let asleep;

// edgekit said no, or is gone; `ended`: what the page has may still be shown.
export class Refused extends Error {
  constructor(text, ended = false) {
    super(text);
    this.ended = ended;
  }
}

// Works until edgekit is done, and gives `done` its summary while it is still there; throws a line for the user where it
// went away.
export async function serve(subject, done) {
  const {backend} = subject;
  await post('hello', {facts: await facts()}, 'Another browser has this link already. Each link is for one: run the command again for this device.', RETRY_MS);
  addEventListener('pagehide', bye);
  const alive = setInterval(() => post('alive').catch(() => {}), ALIVE_MS);
  await keepAwake();
  say('Connected: waiting for edgekit');
  for (let seen = 0; ;) {
    const question = await post('next', {seen});
    if (!question.number) continue;
    seen = question.number;
    if (question.do === 'done') await done(question.summary);
    const last = question.do === 'done' || question.do === 'stop';
    const parts = await (WORK[question.do] ?? nothing)(question, backend, subject);
    const answered = post('answer', {number: seen, facts: await facts(), parts}, undefined, last ? 0 : GIVE_UP_MS);
    if (!last) {
      await answered;
      continue;
    }
    await answered.catch(() => {});  // edgekit may end before it has said that it heard
    clearInterval(alive);
    await asleep?.release();
    if (question.do === 'stop') throw new Refused(`edgekit stopped: ${question.reason}`, true);
    return;
  }
}

const WORK = {run: work, app};

async function nothing() {
  return [];
}

async function app(_, backend, subject) {
  say('From a photo to its answer …');
  try {
    return [{stages: await appPath(subject, await fetched(subject.model_file), backend)}];
  } catch (error) {
    return [{failure: 'error', reason: String(error.message).slice(0, 290)}];
  }
}

async function work(question, backend) {
  busy(true);
  const given = await Promise.all(question.jobs.map(async job => ({
    model: (await modelOf(job)).slice(0),
    inputs: await fetched(`api/file/${job.inputs}`, {cache: 'no-store'}),
  }))).catch(error => error);
  if (given instanceof Error) {
    return question.jobs.map(() => ({failure: 'error', reason: `the file did not arrive: ${given.message}`.slice(0, 290)}));
  }
  const parts = await run(question, given, backend, text => say(`${text[0].toUpperCase()}${text.slice(1)} …`));
  return Promise.all(parts.map(told));
}

// A file is loaded once: blocks of a measurement have the same one.
async function modelOf(job) {
  if (!files.has(job.sha256)) {
    if (files.size >= KEPT) files.clear();
    files.set(job.sha256, await fetched(`api/file/${job.model}`, {cache: 'no-store'}));
  }
  return files.get(job.sha256);
}

async function told(part) {
  return part.outputs ? {...part, outputs: await base64(part.outputs)} : part;
}

function base64(values) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(new Blob([values]));
  });
}

// A connection that was cut may come back: what was to be said is said again, as long as edgekit waits.
async function post(name, given = {}, refused = 'edgekit no longer speaks with this page.', patience_ms = GIVE_UP_MS) {
  const body = JSON.stringify({client, ...given});
  for (const begin = performance.now(); ;) {
    try {
      const response = await fetch(`api/${name}`, {method: 'POST', body, cache: 'no-store'});
      if (response.status === 409) throw new Refused(refused);
      if (!response.ok) throw new Refused(`edgekit refused what this page said (${name}: ${response.status}).`);
      if (name !== 'alive') alarm('');
      return await response.json();
    } catch (error) {
      if (error instanceof Refused) throw error;
      if (name === 'alive') return {};
      if (performance.now() - begin >= patience_ms) {
        throw new Refused('No connection: edgekit has ended, or the network was cut. To measure, run the command again.', true);
      }
      alarm('The connection was cut: trying again …');
      await new Promise(resolve => setTimeout(resolve, RETRY_MS));
    }
  }
}

// A browser drops what a page that goes would send by its service worker, which lives on and sends it itself.
function bye() {
  const body = JSON.stringify({client});
  const worker = navigator.serviceWorker?.controller;
  if (worker) worker.postMessage({bye: body});
  else navigator.sendBeacon('api/bye', body);
}

// A phone that turns its screen off stops this page.
async function keepAwake() {
  try {
    asleep = await navigator.wakeLock?.request('screen');
  } catch { /* not given: the user is told to keep the page in front */ }
}
