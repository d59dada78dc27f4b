"""`edgekit.compress`: a request in, the report out."""

from __future__ import annotations

from edgekit.pipeline.job import resolve
from edgekit.pipeline.run import compress as run
from edgekit.progress import Progress
from edgekit.report import Report
from edgekit.request import Request


def compress(request: Request, progress: Progress | None = None) -> Report:
    """Compress a network for a target: `compress(Request("mobilenetv2", target="jetson"))`.

    Gives the report that `OUT/report.json` holds. Raises the errors of `edgekit.errors`; a missed budget is
    no error here: see `Report.budget_failures`.
    """
    return run(resolve(request), progress).report
