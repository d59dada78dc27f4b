"""`report.html`: one file that opens anywhere, without a network and without scripts."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit import files
from edgekit import report_text as text
from edgekit.facts import Fact, fact
from edgekit.report_html.view import layer_views, rival_views, step_views
from edgekit.units import human_bytes, human_count

if TYPE_CHECKING:
    from edgekit.report import Report
    from edgekit.report_html.svg import Plot

PAGE: Final = "report.html"
STATISTICS: Final = ("where", "p50_ms", "p90_ms", "p99_ms")
SAMPLES: Final = frozenset(("samples_ns", "blocks_ns", "warmup_ns"))
"""Raw samples stand in `report.json`; a page shows their statistics."""


def write_page(report: Report, folder: Path) -> Path:
    """Write `report.html` into a run's folder; the same report gives the same bytes."""
    path = folder / PAGE
    files.write_text(path, render(report))
    return path


def render(report: Report) -> str:
    """The page. Everything in a report is escaped: names and labels are somebody's input."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("edgekit", "report_html"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    tradeoff, layer_plots = _plots(report)
    return environment.get_template("page.html.j2").render(
        report=report,
        model=text.name_of(report.model),
        target=text.id_of(report.target),
        metric=text.metric(report),
        title_of_target=str(report.target.get("title") or text.id_of(report.target)),
        recipe=text.id_of(report.recipe),
        gains=text.gains(report),
        budget=text.listed(text.budget_lines(report)),
        steps=step_views(report),
        rivals=rival_views(report.rivals),
        layers=layer_views(report.layers),
        tradeoff=tradeoff,
        layer_plots=layer_plots,
        times=report.layer_times,
        profile=_measurement(report.profile or {}),
        samples=len((report.profile or {}).get("samples_ns", ())),
        inputs=_inputs(report),
        text=text,
        command=shlex.join(report.command),
        markup=Markup,
    )


def _measurement(profile: Mapping[str, Any]) -> Fact:
    """The statistics first, then all else that is no raw sample."""
    first = {key: profile[key] for key in STATISTICS if key in profile}
    return fact("profile", first | {key: value for key, value in profile.items() if key not in SAMPLES})


def _inputs(report: Report) -> list[Fact]:
    parts = {
        "network": report.model,
        "data": report.data,
        "recipe": report.recipe,
        "target": report.target,
        "versions": report.versions,
    }
    return [fact(name, part) for name, part in parts.items()]


def _plots(report: Report) -> tuple[Plot | None, list[Plot]]:
    from edgekit.report_html.layer_plots import layer_plot
    from edgekit.report_html.layer_time_plot import layer_time_plot
    from edgekit.report_html.tradeoff_plot import tradeoff_plot

    plots = [
        layer_plot(
            report.layers,
            name="macs",
            title="MACs of each layer",
            value=lambda row: row.macs,
            text=lambda value: human_count(value) if value else "0",
        ),
        layer_plot(
            report.layers,
            name="memory-access",
            title="Memory access of each layer",
            value=lambda row: row.memory_access_bytes,
            text=lambda value: human_bytes(value) if value else "0",
        ),
        layer_time_plot(report.layer_times) if report.layer_times else None,
    ]
    return tradeoff_plot(report), [plot for plot in plots if plot is not None]
