"""The model card and the code of a bundle, from its manifest and the templates beside this file."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from edgekit import report_text as text
from edgekit.bundle.manifest import CARD, CODE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgekit.bundle.manifest import BundleManifest


def rendered(manifest: BundleManifest) -> Mapping[str, str]:
    """File name → text; the same manifest gives the same texts."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("edgekit", "bundle"),
        autoescape=False,  # noqa: S701  Markdown and code: `plain` and `literal` guard what is somebody's input
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"plain": plain, "literals": literals, "percent": text.percent}
    parts = {
        "manifest": manifest,
        "input": manifest.inputs[0],
        "output": manifest.outputs[0],
        "edgekit": own_version(),
    }
    return {name: environment.get_template(f"{name}.j2").render(**parts) for name in (CARD, *CODE)}


def own_version() -> str:
    """The edgekit that writes; that of a report is somebody's text, and may be another."""
    return metadata.version("edgekit")


def plain(value: object) -> str:
    """Somebody's text on one line, without what Markdown or a comment would take for its own."""
    printable = "".join(letter if letter.isprintable() else " " for letter in str(value))
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in printable)


def literals(values: Iterable[float], suffix: str = "") -> str:
    """Float32 numbers as Kotlin and Swift read them back; raises `ValueError` for one that is no number."""
    import numpy as np

    singles = [np.float32(value) for value in values]
    if not all(map(np.isfinite, singles)):
        raise ValueError(f"{singles} cannot stand in code")
    return ", ".join(f"{np.format_float_positional(single, trim='0')}{suffix}" for single in singles)
