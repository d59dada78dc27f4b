// One job's process: opens a file in a runtime, warms up, samples, answers; it ends with the job.

// A sample lasts this many steps of the clock: where one inference is shorter, a sample is the mean of several.
const STEPS = 40;
const GAIN = 0.95;
const LONGEST_MS = 6000;
let session;
let group = 1;

const actions = {
  // A classic worker that imports modules: LiteRT.js loads scripts, which workers that are modules refuse.
  async open({engine, model, inputs, shape, batch, options, threads, backend, version}) {
    const {download, open} = await import(`./${engine}.js`);
    const downloaded = await download({threads, backend});
    const start = performance.now();
    session = await open(new Uint8Array(model), {options, threads, backend, version, downloaded});
    const load_ns = nanoseconds(performance.now() - start);
    session.inputs = new Float32Array(inputs);
    session.dims = [batch, ...shape.slice(1)];
    session.count = shape[0];
    return {load_ns, version: session.version, threads: session.threads, details: session.details};
  },
  async warm({seconds}) {
    session.feed(session.inputs.subarray(0, session.dims.reduce((all, n) => all * n, 1)), session.dims);
    const warmup_ns = await warmed(seconds);
    const step = clockStep();
    group = Math.max(1, Math.ceil(STEPS * step / quickest(late(warmup_ns))));
    if (group > 1) session.details.sample = `the mean of ${group} inferences: the browser's clock moves in steps of ${step / 1e3} µs`;
    return {warmup_ns, clock_ns: Math.ceil(step / group), details: session.details};
  },
  async sample({min_seconds, max_seconds, min_samples}) {
    return sample(min_seconds, max_seconds, min_samples);
  },
  // The first call of a turn is left out: it finds another worker's caches.
  async turn({seconds}) {
    return (await sample(seconds, Infinity, 2)).slice(1);
  },
  async finite() {
    const {data} = await session.result();
    const wrong = data.reduce((all, value) => all + (Number.isFinite(value) ? 0 : 1), 0);
    if (wrong) throw new Error(`${wrong} of ${data.length} outputs are not finite numbers`);
  },
  // As many inputs at a time as the file takes; the last ones are repeated, and cut off again.
  async predict() {
    const {inputs, dims, count} = session;
    const each = inputs.length / count;
    const parts = [];
    let shape = [];
    for (let first = 0; first < count; first += dims[0]) {
      const fed = new Float32Array(dims[0] * each);
      for (let i = 0; i < dims[0]; i += 1) {
        const place = Math.min(first + i, count - 1);
        fed.set(inputs.subarray(place * each, (place + 1) * each), i * each);
      }
      session.feed(fed, dims);
      await session.invoke();
      const result = await session.result();
      shape = result.dims;
      parts.push(result.data.slice(0, result.data.length / dims[0] * Math.min(dims[0], count - first)));
    }
    const outputs = new Float32Array(parts.reduce((all, part) => all + part.length, 0));
    let place = 0;
    for (const part of parts) { outputs.set(part, place); place += part.length; }
    return {outputs, shape: [count, ...shape.slice(1)]};
  },
  async feed({inputs}) {
    session.inputs = new Float32Array(inputs);
    session.count = session.inputs.length / session.dims.slice(1).reduce((all, n) => all * n, 1);
  },
};

async function sample(minSeconds, maxSeconds, minSamples) {
  const samples = [];
  const begin = performance.now();
  for (;;) {
    const start = performance.now();
    for (let i = 0; i < group; i += 1) await session.invoke();
    const end = performance.now();
    samples.push(nanoseconds((end - start) / group));
    const seconds = (end - begin) / 1e3;
    if (seconds >= maxSeconds || (seconds >= minSeconds && samples.length >= minSamples)) return samples;
  }
}

// Browsers compile WebAssembly quickly first and well later, what is called often: until it gets no faster.
async function warmed(seconds) {
  const begin = performance.now();
  const samples = await sample(seconds, Infinity, 1);
  for (let before = Infinity, now = typical(samples); now < GAIN * before && performance.now() - begin < LONGEST_MS;) {
    const more = await sample(seconds, Infinity, 1);
    samples.push(...more);
    [before, now] = [now, typical(more)];
  }
  return samples;
}

function late(samples) {
  return samples.slice(Math.floor(samples.length / 2));
}

function mean(samples) {
  return samples.reduce((all, value) => all + value, 0) / samples.length;
}

// What an inference takes when it is warm, also where the clock does not move in most of them.
function typical(samples) {
  const sorted = late(samples).sort((a, b) => a - b);
  return Math.max(1, Math.min(mean(sorted), sorted[Math.floor(sorted.length / 2)] || mean(sorted)));
}

// What an inference takes with nothing beside it: a machine busy in the warm-up may be free when it is sampled.
function quickest(samples) {
  return Math.max(1, Math.min(mean(samples), ...samples.filter((value) => value > 0)));
}

function clockStep() {
  let step = Infinity;
  for (let last = performance.now(), seen = 0; seen < 100;) {
    const now = performance.now();
    if (now > last) { step = Math.min(step, now - last); seen += 1; }
    last = now;
  }
  return nanoseconds(step);
}

function nanoseconds(milliseconds) {
  return Math.round(milliseconds * 1e6);
}

self.onmessage = async ({data: {number, action, given}}) => {
  try {
    self.postMessage({number, result: await actions[action](given)});
  } catch (error) {
    self.postMessage({number, error: String(error?.message ?? error)});
  }
};
