"""`edgekit profile`: what a network costs, and how fast its file runs."""

from pathlib import Path
from statistics import median
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

    from edgekit.bench import Failure
    from edgekit.graph.cost import Cost
    from edgekit.measurement import Profile
    from edgekit.pipeline.profiling import CostProfile

Subject = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|ARTIFACT",
        show_default=False,
        help=f"A network of the zoo, {options.OWN}; the folder of a run, an artifact or a checkpoint; or an ONNX, "
        "OpenVINO IR or .tflite file.",
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
Keep = Annotated[
    Path | None,
    typer.Option(
        "--keep",
        metavar="DIR",
        help="Where what the runtime made comes: a TensorRT engine, its layers' times, the timing cache.",
    ),
]
Layers = Annotated[
    bool,
    typer.Option(
        "--layers", help="Print every layer; where a file is measured, with its time in the runtime."
    ),
]


def profile(
    subject: Subject,
    *,
    target: Target = None,
    input_size: options.InputSize = None,
    width: options.Width = Request.width,
    factory_arg: options.FactoryArg = None,
    task: options.Task = None,
    factory: options.Factory = None,
    threads: options.Threads = Request.threads,
    device: options.Device = Request.device,
    keep: Keep = None,
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
            factory=factory,
            threads=threads,
            device=device,
            keep=keep,
            layers=layers,
            progress=shown(),
        )
        sink.show(found.document(), lambda console: _print(console, found, layers=layers))


def _print(console: "Console", found: "CostProfile", *, layers: bool) -> None:
    cost, latency, times = found.cost, found.latency, found.layer_times
    if cost is not None:
        print_facts(console, _cost_facts(cost) | floor_facts(found.rooflines))
    if cost is not None and layers and times is None:
        console.print()
        print_layers(console, cost.layers)
    if latency is not None:
        print_facts(console, _latency_facts(latency) | _browser_facts(found))
        print_facts(console, {f"beside it, {name}": _told(one) for name, one in found.rivals.items()})
    if times is not None:
        from edgekit.cli.layer_table import print_layer_times

        console.print()
        print_layer_times(console, times)
    print_advice(console, found.advice, every=layers)


def _browser_facts(found: "CostProfile") -> dict[str, Any]:
    """That it answered right, and the same file as an app runs it: from a picture's bytes to the answer."""
    from edgekit.pipeline.browsing import stages

    facts = {}
    if (known := found.known_answers) is not None:
        facts["known answers"] = (
            f"{known.inputs} of {known.inputs} within {known.tolerance:g} of {known.answered_by}'s here, "
            f"off by {known.largest_difference:.2g} at most"
        )
    if (path := found.app_path) is not None:
        told = f"{path.total_ms:.3f} ms: {stages(path)} ({path.picture}; medians of {path.runs} runs)"
        facts["as an app runs it"] = told
    return facts


def _told(rival: "Profile | Failure") -> str:
    from edgekit.bench import Failure

    if isinstance(rival, Failure):
        return f"failed: {rival.reason}"
    return f"p50 {rival.p50_ms:.3f} ms, p90 {rival.p90_ms:.3f} ms"


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
    median = f"p50 {latency.p50_ms:.3f} ms"
    if latency.of_processes:
        spread = {"latency": median, "each sample": ran.details["sample"]}
    else:
        spread = {"latency": f"{median}, p90 {latency.p90_ms:.3f} ms, p99 {latency.p99_ms:.3f} ms"}
        spread |= {"each sample": ran.details["sample"]} if "sample" in ran.details else {}
    return {
        **spread,
        "from": f"{latency.where}, {latency.runtime} {latency.runtime_version}, {latency.threads} threads",
        "samples": f"{len(latency.samples_ns)} in {len(latency.blocks_ns)} processes, "
        f"half within {latency.mad_ms:.3f} ms of the median",
        "stability": latency.stability,
        "opening": _opening(latency),
        "cores": ", ".join(map(str, latency.cores)) or "as the system placed them",
        "weighted operators": f"{ran.integer_operators} in int8, {ran.float_operators} in {ran.float_precision}",
    }


def _opening(latency: "Profile") -> str:
    """How long a user waits for the first answer, and what the process holds then."""
    load, first = (median(values) / 1e6 for values in (latency.load_ns, latency.first_ns))
    peak = max(latency.peak_rss_bytes, default=0)
    memory = f", peak memory {human_bytes(peak)}" if peak else ""
    return f"{load:.0f} ms to load, first inference {first:.2f} ms{memory}"
