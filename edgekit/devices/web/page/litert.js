// LiteRT.js: opens a .tflite file in a worker.

export async function open(model, {threads, version}) {
  const {loadLiteRt, loadAndCompile, Tensor} = await import('./runtime/litert/index.js');
  const folder = new URL('./runtime/litert/wasm/', import.meta.url).href;
  const threaded = threads > 1 && await load(loadLiteRt, folder, true).catch(() => false);
  if (!threaded) await load(loadLiteRt, folder, false);
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

// Threads need relaxed SIMD here: a browser without it gets one. They are workers of the very script that is loaded.
async function load(loadLiteRt, folder, threads) {
  self.Module = {
    mainScriptUrlOrBlob: `${folder}litert_wasm_threaded_internal.js`,
    locateFile: name => folder + name,
    printErr() { /* its log goes to the console as errors */ },
  };
  await loadLiteRt(folder, {threads});
  return true;
}
