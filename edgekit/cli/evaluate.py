"""`edgekit evaluate`: the accuracy of a file as it runs in its runtime."""

from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli import options
from edgekit.cli.listing import print_facts
from edgekit.cli.output import output
from edgekit.cli.progress import shown
from edgekit.request import Request

Artifact = Annotated[
    Path, typer.Argument(metavar="ARTIFACT", show_default=False, help="The folder of a run or an artifact.")
]


def evaluate(
    artifact: Artifact,
    *,
    data: options.Data = None,
    threads: options.Threads = Request.threads,
    device: options.Device = Request.device,
    skip_bad: options.SkipBad = False,
    as_json: options.Json = False,
) -> None:
    """Run a shipped file in its runtime over labelled pictures and give its accuracy (IoU for masks)."""
    with output(as_json=as_json) as sink:
        from edgekit import report_text as text
        from edgekit.pipeline.evaluating import evaluate as run

        found = run(artifact, data=data, threads=threads, device=device, skip_bad=skip_bad, progress=shown())
        shares = {found.metric: found.accuracy, **found.others}
        facts = {
            **{name: value for name, value in found.document().items() if name not in ("metric", "accuracy")},
            **{name: text.percent(share) for name, share in shares.items()},
            "parity_db": text.decibels(found.parity_db),
        }
        sink.show(found.document(), lambda console: print_facts(console, facts))
