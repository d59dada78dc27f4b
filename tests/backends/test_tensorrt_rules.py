"""TensorRT's rules: met by what edgekit ships, each breach named; the script that builds the engine."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.exporters import export
from edgekit.exporters.tensorrt import SOURCE, breaches
from edgekit.model import Model
from edgekit.parity import Array
from edgekit.target import load_target

HELPS = {
    "10.3": "--stronglyTyped --fp16 --sparsity --builderOptimizationLevel --timingCacheFile --profilingVerbosity "
    "--skipInference --useCudaGraph --useSpinWait --noDataTransfers --separateProfileRun",
    "11": "--sparsity --builderOptimizationLevel --timingCacheFile --profilingVerbosity --skipInference "
    "--separateProfileRun",
}


@pytest.fixture(scope="module")
def shipped(
    quantized: Callable[[str], Model], images: Array, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("a folder with 'quotes'")
    export(quantized("jetson"), load_target("jetson"), folder, images[:1])
    return folder


def test_the_shipped_file_meets_them(shipped: Path) -> None:
    assert breaches(shipped / "model.onnx", opset=20) == []


def edited(shipped: Path, tmp_path: Path, edit: Callable[[onnx.ModelProto], None]) -> list[str]:
    model = onnx.load(shipped / "model.onnx")
    edit(model)
    onnx.save(model, tmp_path / "edited.onnx")
    return breaches(tmp_path / "edited.onnx", opset=20)


def first(model: onnx.ModelProto, kind: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == kind)


def put(model: onnx.ModelProto, name: str, array: Array) -> str:
    model.graph.initializer.append(numpy_helper.from_array(array, name))
    return name


def asymmetric(model: onnx.ModelProto) -> None:
    first(model, "QuantizeLinear").input[2] = put(model, "bad", np.array(3, np.int8))


def unsigned(model: onnx.ModelProto) -> None:
    first(model, "QuantizeLinear").input[2] = put(model, "bad", np.array(0, np.uint8))


def negative_scale(model: onnx.ModelProto) -> None:
    first(model, "QuantizeLinear").input[1] = put(model, "bad", np.array(-0.5, np.float32))


def per_channel_activation(model: onnx.ModelProto) -> None:
    first(model, "QuantizeLinear").input[1] = put(model, "bad", np.ones(3, np.float32))


def float_activation(model: onnx.ModelProto) -> None:
    first(model, "Conv").input[0] = "input"


def wrong_axis(model: onnx.ModelProto) -> None:
    conv = first(model, "Conv")
    weight = next(node for node in model.graph.node if conv.input[1] in node.output)
    del weight.attribute[:]
    weight.attribute.append(helper.make_attribute("axis", 1))


def quantized_bias(model: onnx.ModelProto) -> None:
    conv = first(model, "Conv")
    weight = next(node for node in model.graph.node if conv.input[1] in node.output)
    conv.input[2] = weight.output[0]


def new_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 21


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (asymmetric, "zero point 3, only 0 is taken"),
        (unsigned, "not signed INT8"),
        (negative_scale, "the scale is no positive constant"),
        (per_channel_activation, "an activation is quantized per channel"),
        (float_activation, "its activation is not quantized"),
        (wrong_axis, "quantized along axis 1"),
        (quantized_bias, "its bias is quantized"),
        (new_opset, "opset 21 is above 20"),
    ],
)
def test_each_breach_is_named(
    shipped: Path, tmp_path: Path, edit: Callable[[onnx.ModelProto], None], told: str
) -> None:
    assert any(told in breach for breach in edited(shipped, tmp_path, edit))


def test_qdq_before_the_activation_is_a_breach(tmp_path: Path) -> None:
    scale, zero = (
        numpy_helper.from_array(np.float32([0.1])[0], "s"),
        numpy_helper.from_array(np.int8([0])[0], "z"),
    )
    weight = numpy_helper.from_array(np.ones((1, 1, 1, 1), np.int8), "w")
    nodes = [
        helper.make_node("QuantizeLinear", ["input", "s", "z"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["x"], "dq"),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["k"], "dqw"),
        helper.make_node("Conv", ["x", "k"], ["c"], "conv"),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["cq"], "cq"),
        helper.make_node("Relu", ["c"], ["output"], "relu"),
    ]
    shape = [1, 1, 2, 2]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [scale, zero, weight],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)]), path)
    assert "conv: Q/DQ stands between it and its activation" in breaches(path, opset=20)


def stand_in(folder: Path, version: str, *, float_ms: str = "2.0") -> Path:
    """A trtexec that knows the flags of its version only, and writes what the real one writes."""
    script = folder / "trtexec"
    script.write_text(f"""#!/usr/bin/env bash
echo "$@" >> "{folder}/calls"
known="--onnx --saveEngine --loadEngine --warmUp --duration --iterations --percentile --exportTimes --exportProfile"
known="$known --exportLayerInfo {HELPS[version]}"
if [ "$1" = --help ]; then echo "$known"; exit 0; fi
median=1.0
for argument in "$@"; do
    case " $known " in *" ${{argument%%=*}} "*) ;; *) echo "Unknown option: $argument" >&2; exit 1 ;; esac
    case "$argument" in
        --onnx=*) test -f "${{argument#--onnx=}}" || exit 1 ;;
        --saveEngine=*) echo engine > "${{argument#--saveEngine=}}" ;;
        --loadEngine=*fp*) median={float_ms} ;;
    esac
done
echo "[I] GPU Compute Time: min = 0.9 ms, max = 3 ms, mean = 1.1 ms, median = $median ms, percentile(99%) = 2 ms"
""")
    script.chmod(0o755)
    return script


def build(shipped: Path, trtexec: Path, out: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "TRTEXEC": str(trtexec)}
    return subprocess.run(
        ["bash", str(shipped / SOURCE.name), str(out)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("version", list(HELPS))
def test_the_engine_script_asks_trtexec_what_it_can_do(shipped: Path, tmp_path: Path, version: str) -> None:
    (shipped / "float").mkdir(exist_ok=True)
    (shipped / "float" / "model.onnx").write_bytes((shipped / "model.onnx").read_bytes())
    done = build(shipped, stand_in(tmp_path, version), tmp_path / "engines of mine")
    assert done.returncode == 0, done.stderr
    assert "keep int8: 2.00 times as fast as" in done.stdout
    calls = (tmp_path / "calls").read_text()
    assert ("--stronglyTyped" in calls) == (version == "10.3")
    assert "--sparsity=enable" in calls
    assert (tmp_path / "engines of mine" / "int8.engine").read_text() == "engine\n"


def test_the_faster_float_engine_is_named(shipped: Path, tmp_path: Path) -> None:
    (shipped / "float").mkdir(exist_ok=True)
    (shipped / "float" / "model.onnx").write_bytes((shipped / "model.onnx").read_bytes())
    done = build(shipped, stand_in(tmp_path, "10.3", float_ms="0.8"), tmp_path / "engines")
    assert "keep fp16: 1.25 times as fast as int8" in done.stdout


def test_without_trtexec_the_script_says_how_to_get_it(shipped: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", str(shipped / SOURCE.name), str(tmp_path)],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "trtexec not found" in done.stderr
