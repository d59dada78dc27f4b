// LiteRT.js: opens a .tflite file in a worker.

const FOLDER = new URL('./runtime/litert/wasm/', import.meta.url).href;

// What opening needs of the network, before its time is taken. Threads need relaxed SIMD here: a browser without gets one.
export async function download({threads}) {
  const {supportsFeature} = await import('./runtime/litert/index.js');
  const relaxed = await supportsFeature('relaxedSimd');
  const threaded = threads > 1 && relaxed && await supportsFeature('threads');
  const build = `litert_wasm${relaxed ? '' : '_compat'}${threaded ? '_threaded' : ''}_internal`;
  const response = await fetch(`${FOLDER}${build}.wasm`);
  if (!response.ok) throw new Error(`${build}.wasm: ${response.status}`);
  return {threaded, build, wasm: await response.arrayBuffer()};
}

export async function open(model, {threads, version, downloaded: {threaded, build, wasm}}) {
  const {loadLiteRt, loadAndCompile, Tensor} = await import('./runtime/litert/index.js');
  self.Module = {
    wasmBinary: wasm,
    mainScriptUrlOrBlob: `${FOLDER}${build}.js`,  // its threads are workers of the very script that is loaded
    locateFile: name => FOLDER + name,
    printErr() { /* its log goes to the console as errors */ },
  };
  await loadLiteRt(FOLDER, {threads: threaded});
  const used = threaded ? threads : 1;
  const compiled = await loadAndCompile(model, {accelerator: 'wasm', cpuOptions: {numThreads: used}});
  let fed;
  let last = [];
  return {
    version: `js ${version}`,
    threads: used,
    details: {backend: 'WebAssembly, SIMD, XNNPACK', wasm_threads: String(used), fully_accelerated: String(compiled.isFullyAccelerated)},
    feed(values, dims) {
      fed?.delete();
      fed = new Tensor(values.slice(), dims);
    },
    async invoke() {
      for (const tensor of last) tensor.delete();
      last = await compiled.run([fed]);
    },
    async result() {
      const data = await last[0].data();
      return {data: Float32Array.from(data), dims: Array.from(compiled.getOutputDetails()[0].shape)};
    },
  };
}
