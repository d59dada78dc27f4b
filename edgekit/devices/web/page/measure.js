// The protocol without edgekit behind the page: known answers, then blocks of samples, each in a worker of its own.

import {appPath} from './app.js';
import {facts} from './facts.js';
import {fetched, run} from './runner.js';
import {milliseconds, percentile} from './show.js';

export async function measure(subject, model, say) {
  const {known, protocol} = subject;
  const check = await answers(subject, model);
  const before = await facts();
  const blocks = [];
  for (let block = 0; block < protocol.blocks; block += 1) {
    const told = text => say(`Block ${block + 1} of ${protocol.blocks}: ${text} …`);
    blocks.push(await part(subject, model, await fetched(known.inputs[0]), 1, 'latency', told));
  }
  const samples = blocks.flatMap(block => block.samples_ns);
  say('From a photo to its answer …');
  const stages = await appPath(subject, model, subject.backend);
  const summary = {
    median: milliseconds(percentile(samples, 50)),
    p90: milliseconds(percentile(samples, 90)),
    samples: `${samples.length} in ${blocks.length} workers`,
    runtime: `${subject.runtime} ${blocks[0].version}, ${blocks[0].threads} threads`,
    'from a photo': Object.entries(stages).map(([name, times]) => `${name.replaceAll('_', ' ')} ${milliseconds(percentile(times, 50))}`).join(', '),
    'known answers': `${known.inputs.length} of ${known.inputs.length} within ${known.tolerance}, off by ${check.toPrecision(2)} at most`,
  };
  const document = {
    model: subject.model, sha256: subject.sha256, facts: {before, after: await facts()}, protocol, blocks, app_path_ns: stages,
    known_answers: {largest_difference: check, tolerance: known.tolerance, answered_by: known.answered_by},
  };
  return {summary, document};

  async function answers() {
    say('Checking the known answers …');
    let largest = 0;
    for (const [i, name] of known.inputs.entries()) {
      const {outputs} = await part(subject, model, await fetched(name), 1, 'predict', () => {});
      const expected = new Float32Array(await fetched(known.outputs[i]));
      outputs.forEach((value, place) => { largest = Math.max(largest, Math.abs(value - expected[place])); });
    }
    if (!(largest <= known.tolerance)) {
      throw new Error(`the answers of this browser are off by ${largest.toPrecision(3)}, and ${known.tolerance} is allowed`);
    }
    return largest;
  }
}

async function part(subject, model, inputs, count, mode, say) {
  const job = {
    mode, engine: subject.engine, version: subject.engine_version, options: subject.options, threads: subject.threads, batch: subject.input.shape[0],
    shape: [count, ...subject.input.shape.slice(1)], limits: subject.protocol, timeout_ms: subject.protocol.timeout_s * 1000,
  };
  const [found] = await run({jobs: [job], turns: 0}, [{model: model.slice(0), inputs}], subject.backend, say);
  if (found.failure) throw new Error(found.reason);
  return found;
}
