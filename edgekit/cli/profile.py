"""`edgekit profile`: what a network costs, and how fast its file runs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import options
from edgekit.cli.advice import floor_facts, print_advice
from edgekit.cli.listing import print_facts, print_layers
from edgekit.cli.output import output
from edgekit.cli.progress import shown
from edgekit.request import Request
from edgekit.units import human_bytes, human_count

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.graph.cost import Cost
    from edgekit.measurement import Profile
    from edgekit.pipeline.profiling import CostProfile

Subject = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|ARTIFACT",
        show_default=False,
        help=f"A network of the zoo, {options.OWN}; the folder of a run or an artifact; or an ONNX, OpenVINO IR or "
        ".tflite file.",
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        "-t",
        metavar="TARGET",
        help="Export MODEL for this device and measure it too. Default: only count.",
    ),
]
Layers = Annotated[bool, typer.Option("--layers", help="Print every layer.")]


def profile(
    subject: Subject,
    *,
    target: Target = None,
    input_size: options.InputSize = None,
    width: options.Width = Request.width,
    factory_arg: options.FactoryArg = None,
    task: options.Task = None,
    threads: options.Threads = Request.threads,
    device: options.Device = Request.device,
    layers: Layers = False,
    as_json: options.Json = False,
) -> None:
    """Count what a network or a file costs, advise on it, and measure the latency of an artifact."""
    with output(as_json=as_json) as sink:
        from edgekit.pipeline.profiling import profile as run

        found = run(
            subject,
            target=target,
            input_size=options.size(input_size),
            width=width,
            factory_arg=tuple(factory_arg or ()),
            task=task,
            threads=threads,
            device=device,
            progress=shown(),
        )
        sink.show(found.document(), lambda console: _print(console, found, layers=layers))


def _print(console: "Console", found: "CostProfile", *, layers: bool) -> None:
    cost, latency = found.cost, found.latency
    if cost is not None:
        print_facts(console, _cost_facts(cost) | floor_facts(found.rooflines))
    if cost is not None and layers:
        console.print()
        print_layers(console, cost.layers)
    if latency is not None:
        print_facts(console, _latency_facts(latency))
    print_advice(console, found.advice, every=layers)


def _cost_facts(cost: "Cost") -> dict[str, Any]:
    return {
        "input": "×".join(map(str, cost.input_shape)),
        "params": human_count(cost.params),
        "MACs": human_count(cost.macs),
        "element-wise": f"{human_count(cost.elementwise_operations)} operations",
        "memory access": f"{human_bytes(cost.memory_access_bytes)}, {cost.macs_per_byte:.1f} MACs a byte",
        "peak activations": f"{human_bytes(cost.peak_activation_bytes)}, in {cost.peak_layer}",
        "receptive field": "×".join(map(str, cost.receptive_field)),
        "depth": f"{cost.depth} layers that multiply, up to {cost.width} channels wide",
    }


def _latency_facts(latency: "Profile") -> dict[str, Any]:
    ran = latency.executed
    return {
        "latency": f"p50 {latency.p50_ms:.3f} ms, p90 {latency.p90_ms:.3f} ms, p99 {latency.p99_ms:.3f} ms",
        "from": f"{latency.where}, {latency.runtime} {latency.runtime_version}, {latency.threads} threads",
        "samples": f"{len(latency.samples_ns)} in {len(latency.blocks_ns)} processes",
        "weighted operators": f"{ran.integer_operators} in int8, {ran.float_operators} in {ran.float_precision}",
    }
