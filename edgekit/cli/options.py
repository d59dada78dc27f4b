"""What commands have in common: each option is spelt and explained once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from edgekit.errors import InputError
from edgekit.model import Task as TaskName
from edgekit.request import Size

OWN: Final = (
    "or your own: package.module:factory (the current folder is importable), timm:NAME, torchvision:NAME, "
    "a .pt2 file of torch.export.save, a .keras file, or keras:package.module:function"
)
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help=f"A network of the zoo (`edgekit models` lists them), {OWN}.",
    ),
]
Subject = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|RUN",
        show_default=False,
        help=f"A network of the zoo, {OWN}; or the folder of a run or a checkpoint.",
    ),
]
Target = Annotated[
    str,
    typer.Option(
        "--target",
        "-t",
        metavar="TARGET",
        show_default=False,
        help="The device: a name or alias (`edgekit targets` lists them), or the path of a target file.",
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        "-r",
        metavar="RECIPE",
        help="Stages and budget: a name or a file. Default: the target's own recipe.",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        "-d",
        metavar="DIR",
        help="Pictures: DIR/train/CLASS/* and DIR/val/CLASS/*, or DIR/CLASS/* (which is split), "
        "or unlabelled pictures (with --weights). For segmentation DIR/images/* and DIR/masks/*.png, or such a pair "
        "in DIR/train and in DIR/val. Default: built-in handwritten digits, for "
        "demonstration (by name: digits, digits-seg, digits-seg-10).",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        "-w",
        metavar="FILE|hf:REPO",
        help="Trained weights of MODEL: .safetensors, .pth, .pt; or hf:OWNER/NAME, hf:OWNER/NAME@REVISION/FILE "
        "from the Hugging Face hub. Default: train it on the data first.",
    ),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="The run's folder.")]
InputSize = Annotated[
    str | None,
    typer.Option(
        "--input-size",
        metavar="PIXELS|HxW",
        help="Height and width of the input: pictures are scaled to it. Default: the data's or the network's own.",
    ),
]
FactoryArg = Annotated[
    list[str] | None,
    typer.Option(
        "--factory-arg",
        metavar="KEY=VALUE",
        help="An argument of your own factory, as a Python literal or text; repeat it for more. num_classes and "
        "in_channels are given where the factory takes them.",
    ),
]
Task = Annotated[
    TaskName | None,
    typer.Option(
        "--task", metavar="TASK", help="Your own network's: classification (default) or segmentation."
    ),
]
Factory = Annotated[
    str | None,
    typer.Option(
        "--factory",
        metavar="PACKAGE.MODULE:FACTORY",
        help="RUN is of your own network: the code that may be called to rebuild it.",
    ),
]
Width = Annotated[
    float, typer.Option("--width", metavar="X", help="Width multiplier, where the family has one.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="The same seed gives the same file.")]
Threads = Annotated[
    int, typer.Option("--threads", metavar="N", min=1, help="Threads that the runtime is given.")
]
Batch = Annotated[
    int,
    typer.Option(
        "--batch", metavar="N", min=1, help="Pictures that the file takes at once; costs are for all."
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="URI",
        help="Where it runs: `local`, `ssh://user@host[:port]`, `adb://SERIAL`; for `profile` also `web`, a browser.",
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue the run in --out after its last finished stage.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace what --out holds.")]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out pictures that cannot be read, instead of stopping.")
]
MaxAccuracyDrop = Annotated[
    float | None,
    typer.Option(
        "--max-accuracy-drop",
        metavar="POINTS",
        help="Budget: points of accuracy (IoU for segmentation) that may be lost (the recipe's, if not given).",
    ),
]
MaxLatency = Annotated[
    float | None, typer.Option("--max-latency", metavar="MS", help="Budget: median latency in milliseconds.")
]
MaxMacs = Annotated[
    float | None,
    typer.Option(
        "--max-macs",
        metavar="X",
        help="Budget: up to 1 a share of the baseline's multiply-accumulates, above 1 a count.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, and nothing else there.")
]


def size(text: str | None) -> Size | None:
    """`224` → 224, `240x320` → height 240, width 320; raises `InputError` for anything else."""
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,5})(?:[x×]([1-9]\d{0,5}))?", text)
    if found is None:
        raise InputError(f"--input-size {text} is no size", hint="PIXELS such as 224, or HxW such as 240x320")
    return (int(found[1]), int(found[2])) if found[2] else int(found[1])
