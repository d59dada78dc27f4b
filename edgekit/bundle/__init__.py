"""The bundle of a phone app: the model with its metadata, its description, its code and its known answers.

One folder and one zip of the same files. What is in it: `manifest.py`; how it is checked: `check.py`.
"""

from __future__ import annotations

from edgekit.bundle.archive import zipped
from edgekit.bundle.check import verify_bundle
from edgekit.bundle.write import Told, check_format, write_bundle

__all__ = ["Told", "check_format", "verify_bundle", "write_bundle", "zipped"]
