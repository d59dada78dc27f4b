"""A request as the command line that asks for it: what a report gives to repeat a run."""

from __future__ import annotations

from dataclasses import fields

from edgekit.request import Request

POSITIONAL = "model"
LEFT_OUT = frozenset(("out", "resume", "force"))
"""Where a run is written, and what became of an earlier one there, does not decide what comes out."""
REPEATED = frozenset(("factory_arg",))
SPELLING = {"max_latency_ms": "--max-latency"}


def command_line(request: Request) -> tuple[str, ...]:
    """`edgekit compress …` with every option that differs from its default."""
    words = ["edgekit", "compress", request.model]
    for field in fields(request):
        value = getattr(request, field.name)
        if field.name == POSITIONAL or field.name in LEFT_OUT or value == field.default:
            continue
        option = SPELLING.get(field.name, f"--{field.name.replace('_', '-')}")
        for one in value if field.name in REPEATED else (value,):
            words.extend([option] if one is True else [option, _word(one)])
    return tuple(words)


def _word(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
