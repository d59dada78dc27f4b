"""What a page may say, checked before anything is believed: a browser is somebody else's program."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, StringConstraints, ValidationError

from edgekit.frozen import Frozen

if TYPE_CHECKING:
    from edgekit.devices import Array

LINE = 300
Nanoseconds = Annotated[int, Field(ge=0, le=10**15)]
Times = Annotated[tuple[Nanoseconds, ...], Field(max_length=1_000_000)]
Client = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16,64}$")]
Facts = Annotated[dict[str, str], Field(max_length=60)]


class Hello(Frozen):
    """A page was opened."""

    client: Client
    facts: Facts


class Sign(Frozen):
    """The page is there, wants work after the question `seen`, or was closed."""

    client: Client
    seen: int = 0


class Part(Frozen):
    """What one job of a question came to."""

    failure: Literal["", "crash", "hang", "error"] = ""
    reason: str = ""
    version: str = ""
    threads: int = 1
    load_ns: Nanoseconds = 0
    warmup_ns: Times = ()
    samples_ns: Times = ()
    turns: Annotated[tuple[int, ...], Field(max_length=10_000)] = ()
    clock_ns: Nanoseconds = 0
    outputs: str = ""
    """Float32, little-endian, in base64."""
    shape: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=8)] = ()
    details: Facts = Field(default_factory=dict)
    stages: Annotated[dict[str, Times], Field(max_length=8)] = Field(default_factory=dict)
    """From a picture file to its answer: a value a run."""


class Reply(Frozen):
    """The answer to a question, with the facts of the moment."""

    client: Client
    number: int
    facts: Facts
    parts: Annotated[tuple[Part, ...], Field(max_length=16)] = ()


def printable(text: str) -> str:
    """One line without control characters: what a browser calls itself ends up in a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:LINE]).strip()


def cleaned(facts: dict[str, str]) -> dict[str, str]:
    """Facts that can be printed."""
    return {printable(name): printable(value) for name, value in facts.items()}


def array_of(part: Part) -> Array | None:
    """The outputs of a part; None where they are not what their shape tells."""
    try:
        values = np.frombuffer(base64.b64decode(part.outputs, validate=True), dtype="<f4")
        return values.reshape(part.shape).astype(np.float32)
    except (binascii.Error, ValueError):
        return None


def read(kind: type[Any], body: bytes) -> Any:
    """The message in a request's body; None where it is none."""
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        return None
