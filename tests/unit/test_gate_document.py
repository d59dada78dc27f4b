"""The published JSON Schema: never stale, and what the command prints keeps to it."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from gate_files import Noisy, artifact

from edgekit.gate import gate
from edgekit.gate.case import Case, Limits, open_case
from edgekit.gate.document import SCHEMA_FILE, Document, schema
from edgekit.gate.self_test import SelfTest, self_test


@pytest.fixture
def case(tmp_path: Path) -> Case:
    base, candidate = artifact(tmp_path / "base"), artifact(tmp_path / "candidate")
    return open_case(base, candidate, max_regression=0.05, metric="p50", limits=Limits())


def check(document: dict[str, Any]) -> None:
    """By the published file where jsonschema is installed; by the model that it is made of in any case."""
    found = SelfTest if "same" in document else Document
    assert found.model_validate(document).model_dump(mode="json") == document
    if importlib.util.find_spec("jsonschema"):
        jsonschema: Any = importlib.import_module("jsonschema")
        published = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(published)
        jsonschema.Draft202012Validator(published).validate(document)


def test_the_published_schema_is_not_stale() -> None:
    published = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    assert published == schema(), "python -m edgekit.gate.document writes it anew"


def test_it_names_its_version_and_allows_nothing_else() -> None:
    tables = schema()["$defs"]
    assert set(tables["Document"]["required"]) >= {"schema_version", "verdict", "cases", "drifts"}
    assert all(table["additionalProperties"] is False for table in tables.values() if "properties" in table)
    assert tables["Document"]["properties"]["schema_version"]["const"] == 1


@pytest.mark.parametrize("ratio", [1.0, 1.05, 1.2])
def test_what_is_printed_keeps_to_it(ratio: float, case: Case) -> None:
    result = gate([case], Noisy(ratio))
    check(Document(**dict(result)).model_dump(mode="json"))


def test_so_does_a_case_that_was_never_measured(case: Case) -> None:
    device = Noisy()
    device.gone_after = 0
    check(Document(**dict(gate([case], device))).model_dump(mode="json"))


def test_so_does_a_self_test(case: Case) -> None:
    check(self_test(case, Noisy()).model_dump(mode="json"))
