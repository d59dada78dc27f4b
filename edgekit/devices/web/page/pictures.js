// A picture, classified or segmented here: the known one, a chosen photo, or one that the camera takes.

import {decode, pixelsOf, preprocess} from './preprocess.js';
import {Runner} from './runner.js';
import {$, alarm, element} from './show.js';

const TOP = 5;
const COLOURS = [[26, 95, 180], [230, 60, 10], [38, 162, 105], [229, 165, 10], [145, 65, 172], [0, 150, 170], [120, 80, 40], [200, 60, 120]];
let subject, model, backend, runner;

export function offer(about, bytes, chosen, known) {
  [subject, model, backend] = [about, bytes, chosen];
  $('pictures').hidden = false;
  $('known').onclick = () => guarded(() => picture(known));
  $('photo').onchange = () => { const [file] = $('photo').files; if (file) guarded(() => picture(file)); };
  $('camera').onclick = () => guarded(openCamera);
  $('shoot').onclick = () => guarded(shoot);
  if (!navigator.mediaDevices?.getUserMedia) {
    $('camera').hidden = true;
    $('no-camera').textContent = isSecureContext ? 'This browser offers no camera.' : 'No camera: browsers give it to https and loopback pages alone.';
    $('no-camera').hidden = false;
  }
}

// A worker with the open model, for as long as the page shows pictures.
async function opened() {
  if (runner) return;
  const made = new Runner();
  const shape = [1, ...subject.input.shape.slice(1)];
  const job = {engine: subject.engine, version: subject.engine_version, options: subject.options, threads: subject.threads, batch: subject.input.shape[0], shape};
  try {
    await made.open(job, {model: model.slice(0), inputs: new ArrayBuffer(0)}, backend);
    runner = made;
  } catch (error) {
    made.end();
    throw error;
  }
}

// The answer of the network for an input (of one picture) in the file's own layout.
async function infer(input) {
  await runner.ask('feed', {inputs: input.buffer.slice(0)});
  return (await runner.ask('predict')).outputs;
}

export async function picture(blob) {
  await opened();
  const began = performance.now();
  const pixels = await decode(blob);
  const decoded = performance.now();
  await classify(pixels, {decode: decoded - began});
}

async function classify(pixels, took) {
  const start = performance.now();
  const input = preprocess(pixels, subject.preprocessing, subject.input.layout);
  const ready = performance.now();
  const outputs = await infer(input);
  const end = performance.now();
  draw(pixels);
  const told = subject.task === 'segmentation' ? segments(outputs) : classes(outputs);
  const all = {...took, 'resize and normalise': ready - start, infer: end - ready};
  const line = Object.entries(all).map(([name, ms]) => `${name} ${ms.toFixed(1)} ms`).join(', ');
  $('answer').replaceChildren(told, element('p', `this time: ${line}`));
}

function draw({data, width, height}) {
  const canvas = $('canvas');
  canvas.width = width;
  canvas.height = height;
  canvas.getContext('2d').putImageData(new ImageData(data, width, height), 0, 0);
  $('shown').hidden = false;
}

function classes(logits) {
  const highest = Math.max(...logits);
  const powers = Array.from(logits, value => Math.exp(value - highest));
  const total = powers.reduce((all, power) => all + power, 0);
  const ranked = powers.map((power, i) => [nameOf(i), power / total]).sort((a, b) => b[1] - a[1]).slice(0, TOP);
  $('canvas').setAttribute('aria-label', `The picture, which the network calls ${ranked[0][0]}`);
  return listed(ranked.map(([name, share]) => ({name, share})));
}

// Each pixel's class, laid over the picture in colours; one channel alone tells of a single class.
function segments(outputs) {
  const {layout, shape} = subject.output;
  const [height, width, channels] = ['H', 'W', 'C'].map(axis => shape[layout.indexOf(axis)]);
  const at = layout === 'NHWC' ? (c, i) => i * channels + c : (c, i) => c * height * width + i;
  const counts = new Map();
  const overlay = new ImageData(width, height);
  for (let i = 0; i < width * height; i += 1) {
    let best = channels === 1 ? Number(outputs[i] > 0) : 0;
    for (let c = 1; c < channels; c += 1) if (outputs[at(c, i)] > outputs[at(best, i)]) best = c;
    counts.set(best, (counts.get(best) ?? 0) + 1);
    if (best) overlay.data.set([...COLOURS[(best - 1) % COLOURS.length], 160], i * 4);
  }
  const layer = document.createElement('canvas');
  [layer.width, layer.height] = [width, height];
  layer.getContext('2d').putImageData(overlay, 0, 0);
  const canvas = $('canvas');
  canvas.getContext('2d').drawImage(layer, 0, 0, canvas.width, canvas.height);
  canvas.setAttribute('aria-label', 'The picture, with a colour for each class that the network found');
  const ranked = [...counts].sort((a, b) => b[1] - a[1]).slice(0, COLOURS.length);
  return listed(ranked.map(([i, count]) => ({
    name: channels === 1 ? (i ? nameOf(0) : 'nothing') : nameOf(i), share: count / (width * height),
    colour: i ? `rgb(${COLOURS[(i - 1) % COLOURS.length].join(' ')})` : 'transparent',
  })));
}

function nameOf(i) {
  return subject.labels[i] ?? `class ${i}`;
}

function listed(found) {
  const list = document.createElement('ol');
  list.append(...found.map(({name, share, colour}) => {
    const item = document.createElement('li');
    item.style.setProperty('--share', `${(100 * share).toFixed(1)}%`);
    if (colour) {
      const swatch = element('span', '', 'swatch');
      swatch.style.background = colour;
      item.append(swatch);
    }
    item.append(element('span', name, 'name'), element('span', `${(100 * share).toFixed(1)} %`));
    return item;
  }));
  return list;
}

async function openCamera() {
  const stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: 'environment'}, audio: false});
  const video = $('video');
  video.srcObject = stream;
  video.hidden = $('shoot').hidden = false;
  $('camera').hidden = true;
  await video.play();
  $('shoot').focus();
}

async function shoot() {
  const video = $('video');
  await opened();
  await classify(pixelsOf(video, video.videoWidth, video.videoHeight), {});
}

async function guarded(work) {
  alarm('');
  $('pictures').setAttribute('aria-busy', 'true');
  try {
    await work();
  } catch (error) {
    const denied = error.name === 'NotAllowedError' ? 'The camera was not allowed.' : `That did not work: ${error.message}`;
    alarm(denied);
  } finally {
    $('pictures').setAttribute('aria-busy', 'false');
  }
}
