#!/usr/bin/env bash
# Builds TensorRT engines on the device that will run them, times each, and says which is the fastest.
# What trtexec can do is asked of trtexec: this works with TensorRT 10.3 (JetPack 6.2) and with 11.
#
#   bash build_engine.sh [FOLDER]        FOLDER for engines and logs; default: engines/ beside this script
#   TRTEXEC=/path/to/trtexec bash build_engine.sh
set -eu

PRECISION=int8  # of model.onnx
SPARSE=0        # 1: some of its weights hold a 2:4 pattern

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/engines}
mkdir -p "$out"

fail() { echo "build_engine.sh: $1" >&2; exit "$2"; }

trtexec=${TRTEXEC:-$(command -v trtexec || true)}
[ -n "$trtexec" ] || trtexec=/usr/src/tensorrt/bin/trtexec
[ -x "$trtexec" ] || fail "no trtexec: on JetPack, sudo apt install tensorrt; or set TRTEXEC to where it is" 3

help=$("$trtexec" --help 2>&1 || true)
offers() { case $help in *"$1"*) return 0 ;; *) return 1 ;; esac; }

# The flags of a list that this trtexec knows, one a line.
known() { for flag in "$@"; do if offers "${flag%%=*}"; then echo "$flag"; fi; done; }

builder() {
    known --builderOptimizationLevel=4 --profilingVerbosity=detailed --skipInference
    if [ "$SPARSE" = 1 ]; then known --sparsity=enable; fi
}
# TensorRT 11 turned the last four on by itself: asked for by name, both versions measure the same.
timing() {
    known --warmUp=500 --duration=10 --iterations=200 --percentile=50,90,99
    known --useCudaGraph --useSpinWait --noDataTransfers --separateProfileRun
}

# Builds and times one engine: its name, its ONNX file, then its precision flags.
engine() {
    name=$1 model=$2
    shift 2
    echo "$name: building from $(basename "$model"), flags: ${*:-none} $(builder | tr '\n' ' ')"
    # The lists hold no spaces within a flag: splitting them is meant.
    # shellcheck disable=SC2046
    "$trtexec" "--onnx=$model" "--saveEngine=$out/$name.engine" "--timingCacheFile=$out/timing.cache" \
        "$@" $(builder) >"$out/$name.build.log" 2>&1 ||
        { echo "$name: could not be built, see $out/$name.build.log" >&2; return 0; }
    echo "$name: timing, flags: $(timing | tr '\n' ' ')"
    # shellcheck disable=SC2046
    "$trtexec" "--loadEngine=$out/$name.engine" $(timing) "--exportTimes=$out/$name.times.json" \
        "--exportProfile=$out/$name.profile.json" "--exportLayerInfo=$out/$name.layers.json" \
        >"$out/$name.time.log" 2>&1 ||
        { echo "$name: could not be timed, see $out/$name.time.log" >&2; return 0; }
    median=$(sed -n 's/.*GPU Compute Time:.*median = \([0-9.]*\) ms.*/\1/p' "$out/$name.time.log" | tail -n 1)
    [ -n "$median" ] || { echo "$name: trtexec told no median, see $out/$name.time.log" >&2; return 0; }
    echo "$name: median $median ms"
    echo "$median $name" >>"$out/medians.txt"
}

rm -f "$out/medians.txt"
# Precision stands in the ONNX files: TensorRT 11 takes it from there always, 10 when told to.
typed='' half=''
if offers --stronglyTyped; then typed=--stronglyTyped half=--stronglyTyped; elif offers --fp16; then half=--fp16; fi
if [ -n "$typed" ] || ! offers --int8; then engine "$PRECISION" "$here/model.onnx" ${typed:+"$typed"}; fi
engine fp16 "$here/model-fp16.onnx" ${half:+"$half"}
# Up to 10 the builder can be let free: what carries no Q/DQ may then run in FP16 instead of FP32.
if [ "$PRECISION" = int8 ] && offers --int8 && offers --fp16; then
    engine int8-fp16 "$here/model.onnx" --int8 --fp16
fi

[ -s "$out/medians.txt" ] || fail "no engine could be built and timed, see the logs in $out" 1
fastest=$(LC_ALL=C sort -n "$out/medians.txt" | head -n 1)
echo "fastest: ${fastest#* } (median ${fastest%% *} ms): $out/${fastest#* }.engine"
