"""Any JSON value as facts."""

from __future__ import annotations

from edgekit.facts import Fact, fact


def test_nested_values_become_nested_facts() -> None:
    found = fact(
        "details", {"share": 0.49871, "layers": {"a": "2:4"}, "done": True, "best": None, "sizes": [1, 1280]}
    )
    assert found.facts == (
        Fact("share", "0.4987"),
        Fact("layers", facts=(Fact("a", "2:4"),)),
        Fact("done", "yes"),
        Fact("best", "–"),
        Fact("sizes", "1, 1,280"),
    )


def test_a_list_of_tables_is_numbered() -> None:
    assert fact("stages", [{"kind": "prune"}, {"kind": "quantize"}]).facts == (
        Fact("1", facts=(Fact("kind", "prune"),)),
        Fact("2", facts=(Fact("kind", "quantize"),)),
    )


def test_sentences_are_not_run_together() -> None:
    assert [
        entry.name
        for entry in fact("steps", ["copy it", "then build the engine with the script beside it"]).facts
    ] == ["1", "2"]
    assert fact("steps", ["copy", "build"]).value == "copy, build"


def test_nothing_is_said_to_be_nothing() -> None:
    assert [fact("x", {}), fact("x", [])] == [Fact("x", "none"), Fact("x", "none")]


def test_only_long_facts_are_folded() -> None:
    assert not fact("few", {"a": 1}).long
    assert fact("many", {str(place): place for place in range(50)}).long
