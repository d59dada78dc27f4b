// ONNX Runtime Web: opens an ONNX file in a worker.

const FOLDER = new URL('./runtime/ort/', import.meta.url).href;
const BUILDS = {wasm: 'ort-wasm-simd-threaded', webgpu: 'ort-wasm-simd-threaded.asyncify'};

// What opening needs of the network, before its time is taken.
export async function download({backend}) {
  const response = await fetch(`${FOLDER}${BUILDS[backend]}.wasm`);
  if (!response.ok) throw new Error(`${BUILDS[backend]}.wasm: ${response.status}`);
  return {wasm: await response.arrayBuffer(), ort: await import(`./runtime/ort/ort.${backend}.min.mjs`)};
}

export async function open(model, {options, threads, backend, downloaded: {wasm, ort}}) {
  ort.env.logLevel = 'error';
  ort.env.wasm.wasmPaths = FOLDER;
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmBinary = wasm;
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [backend],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    executionMode: 'sequential',
    extra: {session: {disable_quant_qdq: options.qdq_optimizer === '0' ? '1' : '0'}},
  });
  const [input] = session.inputNames;
  const [output] = session.outputNames;
  let fed;
  let last;
  return {
    version: `web ${ort.env.versions.web}${backend === 'webgpu' ? ' on WebGPU' : ''}`,
    threads,
    details: {backend: backend === 'wasm' ? 'WebAssembly, SIMD' : 'WebGPU', wasm_threads: String(threads)},
    feed(values, dims) { fed = {[input]: new ort.Tensor('float32', values, dims)}; },
    async invoke() {
      last = (await session.run(fed, [output]))[output];
    },
    async result() {
      const data = await last.getData();
      return {data: data instanceof Float32Array ? data : Float32Array.from(data, Number), dims: last.dims};
    },
  };
}
