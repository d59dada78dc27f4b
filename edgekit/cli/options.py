"""What commands have in common: each option is spelt and explained once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", show_default=False, help="A network of the zoo; `edgekit models` lists them."
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
        "or unlabelled pictures (with --weights). Default: built-in handwritten digits, for demonstration.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        "-w",
        metavar="FILE",
        help="Trained weights of MODEL. Default: train it on the data first.",
    ),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="The run's folder.")]
InputSize = Annotated[
    int | None,
    typer.Option(
        "--input-size", metavar="PIXELS", min=1, help="Height and width that pictures are scaled to."
    ),
]
InputSide = Annotated[
    int, typer.Option("--input-size", metavar="PIXELS", min=1, help="Height and width of the input.")
]
Width = Annotated[
    float, typer.Option("--width", metavar="X", help="Width multiplier, where the family has one.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="The same seed gives the same file.")]
Threads = Annotated[
    int, typer.Option("--threads", metavar="N", min=1, help="Threads that the runtime is given.")
]
Device = Annotated[str, typer.Option("--device", metavar="URI", help="Where it runs: `local`.")]
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
        help="Budget: points of accuracy that may be lost (the recipe's, if not given).",
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
