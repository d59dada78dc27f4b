#!/usr/bin/env bash
# Builds the TensorRT engines on the device that will run them, and times INT8 against its FP16 rival.
# Works with TensorRT 10.3 (JetPack 6.2) as with 11: what trtexec can do is asked of trtexec.
#
#   bash build_engine.sh [OUTPUT_FOLDER]        (default: engines/ beside this script)
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
out="${1:-$here/engines}"
mkdir -p "$out"

trtexec="${TRTEXEC:-}"
if [ -z "$trtexec" ]; then
    for candidate in "$(command -v trtexec || true)" /usr/src/tensorrt/bin/trtexec; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then trtexec="$candidate"; break; fi
    done
fi
if [ -z "$trtexec" ]; then
    echo "build_engine.sh: trtexec not found: install TensorRT (on JetPack: sudo apt install tensorrt), or set TRTEXEC" >&2
    exit 3
fi
help="$("$trtexec" --help 2>&1 || true)"
offers() { case "$help" in *"$1"*) return 0 ;; *) return 1 ;; esac; }

build=()
# Precision stands in the ONNX file. 11 is always strongly typed; 10 is told so; before that INT8 needs a flag.
strong=(); if offers --stronglyTyped; then strong=(--stronglyTyped); fi
if offers --sparsity; then build+=(--sparsity=enable); fi
if offers --builderOptimizationLevel; then build+=(--builderOptimizationLevel=4); fi
if offers --timingCacheFile; then build+=("--timingCacheFile=$out/timing.cache"); fi
if offers --profilingVerbosity; then build+=(--profilingVerbosity=detailed); fi
if offers --skipInference; then build+=(--skipInference); fi

# The same flags for both versions: 11 turned these on by itself.
measure=(--warmUp=500 --duration=5 --iterations=100 --percentile=50,90,99)
for flag in --useCudaGraph --useSpinWait --noDataTransfers --separateProfileRun; do
    if offers "$flag"; then measure+=("$flag"); fi
done

run() { # name, then the precision flags, then the model
    local name="$1" model="$2"; shift 2
    echo "== $name: building from $model"
    "$trtexec" "--onnx=$model" "--saveEngine=$out/$name.engine" "$@" "${build[@]}" >"$out/$name.build.log" 2>&1 ||
        { echo "build_engine.sh: $name failed, see $out/$name.build.log" >&2; tail -n 5 "$out/$name.build.log" >&2; exit 1; }
    echo "== $name: timing with ${measure[*]}"
    "$trtexec" "--loadEngine=$out/$name.engine" "${measure[@]}" "--exportTimes=$out/$name.times.json" \
        "--exportProfile=$out/$name.profile.json" "--exportLayerInfo=$out/$name.layers.json" >"$out/$name.time.log" 2>&1 ||
        { echo "build_engine.sh: timing $name failed, see $out/$name.time.log" >&2; exit 1; }
}
median() { sed -n 's/.*GPU Compute Time:.*median = \([0-9.]*\) ms.*/\1/p' "$out/$1.time.log" | tail -n 1; }

run int8 "$here/model.onnx" ${strong[@]+"${strong[@]}"}
rival=""
if [ -f "$here/float/model.onnx" ]; then
    if offers --fp16; then
        run fp16 "$here/float/model.onnx" --fp16; rival=fp16
    else
        echo "== this trtexec has no --fp16 (TensorRT 11): the float rival is built as it is written, in FP32"
        run fp32 "$here/float/model.onnx"; rival=fp32
    fi
fi
int8="$(median int8)"
echo "int8: median ${int8:-unknown} ms"
if [ -n "$rival" ]; then
    other="$(median "$rival")"
    echo "$rival: median ${other:-unknown} ms"
    if [ -n "$int8" ] && [ -n "$other" ]; then
        awk -v a="$int8" -v b="$other" -v n="$rival" 'BEGIN { if (a <= b) printf "keep int8: %.2f times as fast as %s\n", b / a, n; else printf "keep %s: %.2f times as fast as int8\n", n, a / b }'
    fi
fi
