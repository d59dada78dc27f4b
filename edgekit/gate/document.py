"""What `edgekit compare --json` prints, and its JSON Schema: `python -m edgekit.gate.document` writes that anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from edgekit import files
from edgekit.gate.history import Drift
from edgekit.gate.result import GateResult
from edgekit.gate.self_test import SelfTest

SCHEMA_FILE = Path(__file__).with_name("result.schema.json")


class Document(GateResult):
    """A gate's result, and what the history beside it tells."""

    drifts: tuple[Drift, ...] = ()
    """Lasting changes; never part of the verdict."""


class _Complete(GenerateJsonSchema):
    """What is printed holds every key, those with a default too."""

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: ARG002
        return True


def schema() -> dict[str, Any]:
    """Of a comparison's document or a self-test's (JSON Schema, draft 2020-12)."""
    found = TypeAdapter(Document | SelfTest).json_schema(mode="serialization", schema_generator=_Complete)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edgekit compare --json",
        **found,
    }


if __name__ == "__main__":
    files.write_json(SCHEMA_FILE, schema())
