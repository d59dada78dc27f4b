"""Pages whose tables a benchmark writes: between `<!-- name -->` and `<!-- /name -->`, all else stays as it is."""

from __future__ import annotations

from pathlib import Path


def write_between(page: Path, name: str, text: str) -> None:
    """Put text between a page's marks of that name; ends the program, the page untouched, where it has none."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, opened, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise SystemExit(f"{page} has no marks {begin} … {end}")
    text = text.strip("\n")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")
