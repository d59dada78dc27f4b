"""From a request to a report: names resolved, stages judged, the file that ships proven."""

from __future__ import annotations

from edgekit.pipeline.job import Job, resolve
from edgekit.pipeline.run import Run, compress, follow
from edgekit.request import Request

__all__ = ["Job", "Request", "Run", "compress", "follow", "resolve"]
