// What an app waits for beside the inference: a picture file decoded, resized, normalised, and answered.

import {decode, preprocess} from './preprocess.js';
import {fetched, Runner} from './runner.js';

const WARM = 2;
const RUNS = 15;
const LONGEST_MS = 10_000;

// Nanoseconds of each step, a list of one value a run; the model is open before the first.
export async function appPath(subject, model, backend) {
  const photo = new Blob([await fetched(subject.photo)]);
  const runner = new Runner();
  const shape = [1, ...subject.input.shape.slice(1)];
  const job = {engine: subject.engine, version: subject.engine_version, options: subject.options, threads: subject.threads, batch: subject.input.shape[0], shape};
  const stages = {decode: [], resize_and_normalise: [], infer: []};
  try {
    await runner.open(job, {model: model.slice(0), inputs: new ArrayBuffer(0)}, backend);
    const begin = performance.now();
    for (let run = 0; run < WARM + RUNS && performance.now() - begin < LONGEST_MS; run += 1) {
      const times = [performance.now()];
      const pixels = await decode(photo);
      times.push(performance.now());
      const input = preprocess(pixels, subject.preprocessing, subject.input.layout);
      times.push(performance.now());
      await runner.ask('feed', {inputs: input.buffer});
      await runner.ask('predict');
      times.push(performance.now());
      if (run >= WARM) {
        Object.keys(stages).forEach((name, i) => stages[name].push(Math.round((times[i + 1] - times[i]) * 1e6)));
      }
    }
  } finally {
    runner.end();
  }
  return stages;
}
