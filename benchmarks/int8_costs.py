"""Latency, size and quantizing time of what `int8.py` compared, with the goals that ours is held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from int8_rows import OURS, RUNTIMES, Row, fastest_rival, header, interval, rows_of, values_of

NEAR, SECONDS = 1.03, 1.5
"""Goals for ours: at most so many times the fastest rival's latency, and NNCF's seconds."""
WORDS = ("faster", "within", "undecided", "slower", "fails")


def latencies(rows: list[Row]) -> list[str]:
    """p50, and ours against the fastest of the others in the same runtime, in pairs of processes."""
    every = [row for row in rows if row["kind"] == "latency"]
    if not every:
        return ["### Latency", "", "Not measured."]
    threads = "/".join(map(str, values_of(every, "threads")))
    said = (
        f"p50 in ms at 224×224, {threads} thread{'s' * (threads != '1')}. Last: ours as a multiple of the fastest "
        f"other file, measured once more by turns with that one alone: median over pairs of processes with 95 %, and "
        f"whether that is within {NEAR - 1:.0%}."
    )
    lines, verdicts = ["### Latency", "", said], []
    for runtime, title in RUNTIMES.items():
        own = [row for row in every if row["runtime"] == runtime]
        if not own:
            continue
        names = values_of(own, "quantizer")
        lines += header(title, *names, "ours / fastest", "")
        for family in [name for name in values_of(rows, "family") if rows_of(own, family=name)]:
            cell = {row["quantizer"]: row for row in own if row["family"] == family}
            entries = ["" if name not in cell else shown(cell[name]) for name in names]
            paired = [
                row
                for row in rows
                if (row["kind"], row.get("runtime"), row["family"]) == ("pairs", runtime, family)
            ]
            ratio, word = against_fastest(cell, paired)
            verdicts.append(word)
            rival = f" ({fastest_rival(cell)})" if ratio else ""
            lines.append(f"| {family} | {' | '.join(entries)} | {ratio} | {word}{rival} |")
    return [*lines, "", latency_verdict(verdicts), unsteady(rows_of(every))]


def shown(row: Row) -> str:
    return "fails" if "failed" in row else f"{row['p50_ms']:.2f}"


def against_fastest(cell: Mapping[str, Row], paired: list[Row]) -> tuple[str, str]:
    """Ours as a multiple, and what that amounts to."""
    if "failed" in cell.get(OURS, {"failed": "no file"}):
        return "", "fails"
    if fastest_rival(cell) is None:
        return "", "within"
    measured = rows_of(paired)
    if not measured:
        return "", "fails" if paired else "undecided"
    return judged(measured[-1]["ratios"])


def judged(paired: Sequence[float]) -> tuple[str, str]:
    """The median of ratios with its interval, and what that amounts to."""
    ratios = np.asarray(paired)
    low, high = interval([ratios], np.median)
    word = "faster" if high < 1 else "within" if high <= NEAR else "slower" if low > NEAR else "undecided"
    return f"{np.median(ratios):.3f} [{low:.3f}, {high:.3f}]", word


def shipped(rows: list[Row]) -> list[str]:
    """What `compress` makes of the same networks, against the fastest of the others' files in the same runtime."""
    said = (
        "What `edgekit compress --recipe latency-only` ships of the same networks, by turns with the fastest other "
        "file above: median over pairs of processes with 95 %."
    )
    lines, verdicts = ["### As it ships", "", said], []
    lines += header("network", "runtime", "ships", "shipped / fastest", "")
    for row in (row for row in rows if row["kind"] == "shipped"):
        ratio, word = ("", "fails") if "failed" in row else judged(row["ratios"])
        verdicts.append(word)
        left = f", {row['in_float']} of {row['weighted']} operators in float" if row["in_float"] else ""
        ships = f"{row['precision']}{left}"
        lines.append(
            f"| {row['family']} | {RUNTIMES[row['runtime']]} | {ships} | {ratio} | {word} ({row['rival']}) |"
        )
    return [*lines, "", latency_verdict(verdicts)]


def latency_verdict(verdicts: list[str]) -> str:
    counts = {word: verdicts.count(word) for word in WORDS}
    near = "held" if counts["faster"] + counts["within"] == len(verdicts) else "missed"
    most = "held" if counts["faster"] > len(verdicts) / 2 else "missed"
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return (
        f"Of {len(verdicts)} networks and runtimes: {told}. Within {NEAR - 1:.0%} of the fastest on every "
        f"one: **{near}**; faster on most: **{most}**."
    )


def unsteady(rows: list[Row]) -> str:
    shaky = sum(bool(row["unsteady"]) for row in rows)
    return f"{shaky} of {len(rows)} measurements call themselves unsteady."


def sizes(rows: list[Row]) -> list[str]:
    """Of each family's network for the largest pictures, the first seed's."""
    made = rows_of(rows, kind="file")
    methods = values_of(made, "method")
    lines = ["### Size", "", "kB of what the runtime opens.", *header("", "pixels", *methods)]
    for family in values_of(made, "family"):
        own = rows_of(made, family=family)
        pixels = max(row["pixels"] for row in own)
        first = min(row["seed"] for row in own if row["pixels"] == pixels)
        files = {row["method"]: row["size_bytes"] for row in rows_of(own, pixels=pixels, seed=first)}
        entries = [f"{files[name] / 1000:,.0f}" if name in files else "" for name in methods]
        lines.append(f"| {family} | {pixels} | {' | '.join(entries)} |")
    return lines


def times(rows: list[Row]) -> list[str]:
    """From calibration to the written file; ours to OpenVINO against NNCF."""
    made = rows_of(rows, kind="file")
    methods = values_of(made, "method")
    said = (
        "Seconds from calibration to the written file, in brackets of all threads' processor time, medians over "
        "seeds. Ours starts from the PyTorch network and exports it on the way, the others from a float file, which "
        "took what the `float-` columns say. Then ours for OpenVINO as a multiple of NNCF's: of its own seconds; with "
        "the float export before it; of its processor time, for where other work shared the machine."
    )
    titles = ("ours / NNCF", "with export", "processor time")
    lines = ["### Time", "", said, *header("", "pixels", "samples", *methods, *titles)]
    ratios = []
    cells = dict.fromkeys((row["pixels"], row["family"], row["samples"]) for row in made)
    for pixels, family, samples in sorted(cells):
        own = rows_of(made, family=family, pixels=pixels, samples=samples)
        entries = [spent(rows_of(own, method=name)) for name in methods]
        ratios.append(against_nncf(own))
        entries += ["" if np.isnan(ratio) else f"{ratio:.2f}" for ratio in ratios[-1]]
        lines.append(f"| {family} | {pixels} | {samples} | {' | '.join(entries)} |")
    if not ratios:
        return [*lines, "", "No file was made."]
    return [
        *lines,
        "",
        *(time_verdict(title, own) for title, own in zip(titles, zip(*ratios, strict=True), strict=True)),
    ]


def spent(rows: list[Row]) -> str:
    """`wall (processor)`."""
    if not rows:
        return ""
    return f"{typical(rows, 'seconds'):.1f} ({typical(rows, 'processor_seconds'):.1f})"


def typical(rows: list[Row], field: str) -> float:
    return float(np.median([row[field] for row in rows])) if rows else float("nan")


def against_nncf(rows: list[Row]) -> tuple[float, float, float]:
    """Of its seconds, with the export that it starts from, of its processor time."""
    methods = ("edgekit-intel-cpu", "nncf-ir", "float-intel-cpu")
    ours, theirs, export = (typical(rows_of(rows, method=name), "seconds") for name in methods)
    worked, they_worked, _ = (typical(rows_of(rows, method=name), "processor_seconds") for name in methods)
    return ours / theirs, ours / (theirs + export), worked / they_worked


def time_verdict(title: str, ratios: tuple[Any, ...]) -> str:
    known = [ratio for ratio in ratios if not np.isnan(ratio)]
    if not known:
        return f"- {title}: nothing to compare"
    near = sum(ratio <= SECONDS for ratio in known)
    held = "held" if near == len(known) else "missed"
    return (
        f"- {title}: within {SECONDS}× on {near} of {len(known)}, median {np.median(known):.2f}×: **{held}**"
    )
