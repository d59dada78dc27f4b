// The jobs of one question, each in a worker of its own, and what came of them.

import {threadsHere} from './facts.js';

export async function fetched(path, options) {
  const response = await fetch(path, options);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

export class Runner {
  #worker = new Worker(new URL('worker.js', import.meta.url));
  #asked = new Map();
  #number = 0;
  #dead = '';

  constructor() {
    this.#worker.onmessage = ({data: {number, result, error}}) => {
      const {resolve, reject} = this.#asked.get(number);
      this.#asked.delete(number);
      if (error === undefined) resolve(result); else reject(new Error(error));
    };
    this.#worker.onerror = event => {
      event.preventDefault();
      this.#fail(`the worker crashed: ${event.message || 'the browser tells no reason'}`);
    };
  }

  ask(action, given = {}) {
    this.#number += 1;
    const number = this.#number;
    return new Promise((resolve, reject) => {
      if (this.#dead) {
        reject(crash(this.#dead));
        return;
      }
      this.#asked.set(number, {resolve, reject});
      this.#worker.postMessage({number, action, given});
    });
  }

  async open(job, files, backend) {
    return this.ask('open', {...job, ...files, backend, threads: threadsHere(job.threads)});
  }

  end() {
    this.#worker.terminate();
  }

  #fail(reason) {
    this.#dead = reason;
    for (const {reject} of this.#asked.values()) reject(crash(reason));
    this.#asked.clear();
  }
}

function crash(reason) {
  return Object.assign(new Error(reason), {kind: 'crash'});
}

// `jobs` as edgekit tells them, `files` of each: {model, inputs} as ArrayBuffers. Gives a part for each.
export async function run({jobs, turns}, files, backend, say) {
  const runners = jobs.map(() => new Runner());
  const limits = jobs.map(job => job.timeout_ms);
  const parts = jobs.map(() => ({}));
  try {
    if (turns) {
      await together(jobs, files, turns, backend, say, runners, parts, limits);
    } else {
      await inTime(alone(jobs[0], files[0], backend, say, runners[0], parts[0]), limits[0]);
    }
  } catch (error) {
    parts.forEach((part, i) => {
      const own = i === (error.place ?? 0);
      const reason = own ? told(error) : 'the other side failed before this one was measured';
      Object.assign(part, {failure: own ? error.kind ?? 'error' : 'error', reason});
    });
  } finally {
    for (const runner of runners) runner.end();
  }
  return parts;
}

// WebAssembly has 4 GB at most: what a runtime says where they are not enough is seldom clear.
function told(error) {
  const text = String(error.message);
  const full = /alloc|memory|integer overflow/i.test(text);
  return `${full ? 'it may not fit into the memory that a browser gives: ' : ''}${text}`.slice(0, 290);
}

async function alone(job, files, backend, say, runner, part) {
  say('opening the model');
  Object.assign(part, await runner.open(job, files, backend));
  if (job.mode === 'predict') {
    say('checking the known answers');
    Object.assign(part, await runner.ask('predict'));
    return;
  }
  const limits = job.limits;
  say('warming up');
  Object.assign(part, await runner.ask('warm', {seconds: limits.warmup_seconds}));
  say('measuring');
  part.samples_ns = await runner.ask('sample', limits);
  part.turns = [part.samples_ns.length];
  await runner.ask('finite');
}

async function together(jobs, files, turns, backend, say, runners, parts, limits) {
  const order = jobs.map((_, i) => i);
  const each = async (work, places = order) => {
    for (const i of places) {
      try { await inTime(work(i), limits[i]); } catch (error) { throw Object.assign(error, {place: i}); }
    }
  };
  say('opening the models');
  await each(async i => {
    Object.assign(parts[i], await runners[i].open(jobs[i], files[i], backend), {samples_ns: [], turns: []});
  });
  say('warming up');
  await each(async i => {
    Object.assign(parts[i], await runners[i].ask('warm', {seconds: jobs[i].limits.warmup_seconds}));
  });
  say('measuring');
  for (let turn = 0; turn < turns; turn += 1) {
    await each(async i => {
      const found = await runners[i].ask('turn', {seconds: jobs[i].limits.turn_seconds});
      parts[i].samples_ns.push(...found);
      parts[i].turns.push(found.length);
    }, turn % 2 ? [...order].reverse() : order);
  }
  await each(i => runners[i].ask('finite'));
}

function inTime(work, milliseconds) {
  let timer;
  const late = new Promise((_, reject) => {
    const error = Object.assign(new Error(`no answer within ${milliseconds / 1e3} s`), {kind: 'hang'});
    timer = setTimeout(() => reject(error), milliseconds);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
