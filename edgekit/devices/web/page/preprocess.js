// A picture as the network wants it: the evaluator's own steps, with Pillow's bilinear filter.

const PRECISION_BITS = 22;

// The pixels of a picture file, upright by its EXIF entry: {data: RGBA, width, height}.
export async function decode(blob) {
  const bitmap = await createImageBitmap(blob, {imageOrientation: 'from-image', premultiplyAlpha: 'none', colorSpaceConversion: 'none'});
  try {
    return pixelsOf(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

export function pixelsOf(source, width, height) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height);
}

// (channels, height, width) or, for NHWC, (height, width, channels), float32.
export function preprocess(picture, {height, width, mean, std}, layout) {
  const channels = mean.length;
  const input = new Float32Array(height * width * channels);
  const last = layout === 'NHWC';
  for (let channel = 0; channel < channels; channel += 1) {
    const plane = planeOf(picture.data, channel, channels);
    const columns = resample(plane, picture.height, picture.width, width);
    const resized = resample(columns, width, picture.height, height);
    for (let i = 0; i < resized.length; i += 1) {
      const place = last ? i * channels + channel : channel * resized.length + i;
      input[place] = (Math.fround(resized[i] / 255) - mean[channel]) / std[channel];
    }
  }
  return input;
}

// Red, green or blue; of a network for grey pictures ITU-R 601-2 luma.
function planeOf(rgba, channel, channels) {
  const plane = new Uint8Array(rgba.length / 4);
  for (let i = 0, at = 0; i < plane.length; i += 1, at += 4) {
    plane[i] = channels === 1
      ? (rgba[at] * 19595 + rgba[at + 1] * 38470 + rgba[at + 2] * 7471 + 0x8000) >> 16
      : rgba[at + channel];
  }
  return plane;
}

// Resizes each row, and gives rows as columns: a weighted mean of all source pixels under a triangle.
function resample(plane, rows, from, to) {
  const scale = from / to;
  const support = Math.max(scale, 1);
  const result = new Uint8Array(to * rows);
  for (let x = 0; x < to; x += 1) {
    const center = (x + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const last = Math.min(Math.trunc(center + support + 0.5), from);
    const shares = [];
    for (let i = first; i < last; i += 1) shares.push(Math.max(0, 1 - Math.abs((i - center + 0.5) / support)));
    const total = shares.reduce((all, share) => all + share, 0);
    const weights = Int32Array.from(shares, share => Math.trunc(0.5 + share / total * (1 << PRECISION_BITS)));
    for (let y = 0; y < rows; y += 1) {
      let sum = 1 << (PRECISION_BITS - 1);
      for (let i = 0, at = y * from + first; i < weights.length; i += 1, at += 1) sum += plane[at] * weights[i];
      result[x * rows + y] = Math.min(255, Math.max(0, sum >> PRECISION_BITS));
    }
  }
  return result;
}
