"""What the gate refuses before anything is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_files import artifact

from edgekit.artifact import MANIFEST
from edgekit.errors import InputError, MissingError
from edgekit.gate.case import Case, Limits, open_case
from edgekit.gate.formats import check_writable
from edgekit.gate.suite import Terms, open_suite


def opened(base: Path, candidate: Path, *, force: bool = False) -> Case:
    return open_case(base, candidate, max_regression=0.05, metric="p50", limits=Limits(), force=force)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"format": "openvino"}, "formats differ, onnx and openvino"),
        ({"runtime_options": {"allow_spinning": "0"}}, "options differ, none and allow_spinning=0"),
    ],
)
def test_files_for_two_runtimes_are_refused_unless_forced(
    changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    base, candidate = artifact(tmp_path / "base"), artifact(tmp_path / "candidate", **changed)
    with pytest.raises(InputError, match=said) as refused:
        opened(base, candidate)
    assert "--force" in refused.value.hint
    opened(base, candidate, force=True)


def test_a_model_file_without_a_hash_is_refused(tmp_path: Path) -> None:
    base = artifact(tmp_path / "base")
    manifest = json.loads((base / MANIFEST).read_text())
    (base / MANIFEST).write_text(json.dumps(manifest | {"sha256": {}}))
    with pytest.raises(InputError, match=r"model\.onnx"):
        opened(base, artifact(tmp_path / "candidate"))


def test_a_pointer_that_pins_an_absent_file_is_refused(tmp_path: Path) -> None:
    base, candidate = artifact(tmp_path / "base"), artifact(tmp_path / "candidate")
    pointer = tmp_path / "baseline.json"
    pointer.write_text(json.dumps({"artifact": "base", "sha256": {"model.bin": "0"}}))
    with pytest.raises(InputError, match=r"model\.bin, which .*baseline\.json pins, is missing"):
        opened(pointer, candidate)
    assert base.is_dir()


@pytest.mark.parametrize("content", [b"damaged", {"inputs": []}, {"inputs": [], "outputs": []}])
def test_known_answers_that_cannot_be_used_are_refused(
    content: bytes | dict[str, list[float]], tmp_path: Path
) -> None:
    base, candidate = artifact(tmp_path / "base"), artifact(tmp_path / "candidate")
    if isinstance(content, bytes):
        (candidate / "parity.npz").write_bytes(content)
    else:
        np.savez(
            candidate / "parity.npz",
            allow_pickle=False,
            **{key: np.array(value) for key, value in content.items()},
        )
    with pytest.raises(InputError, match="no known answers"):
        opened(base, candidate)


def test_options_that_the_runtime_does_not_have_are_refused(tmp_path: Path) -> None:
    sides = [artifact(tmp_path / name, runtime_options={"spin": "0"}) for name in ("base", "candidate")]
    with pytest.raises(InputError, match="no option spin"):
        opened(*sides)


def suite(folder: Path, *tables: str) -> Path:
    artifact(folder / "base")
    artifact(folder / "candidate")
    path = folder / "suite.toml"
    path.write_text(
        "".join(f'[[case]]\nbase = "base"\ncandidate = "candidate"\n{table}\n' for table in tables)
    )
    return path


def test_two_cases_of_one_name_are_refused(tmp_path: Path) -> None:
    path = suite(tmp_path, 'name = "a"', 'name = "b"', 'name = "a"')
    with pytest.raises(InputError, match="more than one case named a"):
        open_suite(path, force=False)


def test_terms_hold_where_a_case_gives_none_of_its_own(tmp_path: Path) -> None:
    own = 'name = "own"\nmax_regression = 0.05\nmetric = "p50"\nlimits.size = 0.05'
    path = suite(tmp_path, 'name = "bare"', own)
    terms = Terms(max_regression=0.2, metric="p90", limits=Limits(size=0.5, parity_db=1))
    bare, kept = open_suite(path, force=False, terms=terms)
    assert (bare.max_regression, bare.metric, bare.limits) == (0.2, "p90", terms.limits)
    assert (kept.max_regression, kept.metric) == (0.05, "p50")
    assert (kept.limits.size, kept.limits.parity_db) == (0.05, 1)


def test_a_case_names_its_own_device(tmp_path: Path) -> None:
    own, bare = open_suite(suite(tmp_path, 'name = "own"\ndevice = "local"', 'name = "bare"'), force=False)
    assert own.device is not None
    assert own.device.name.startswith("local")
    assert bare.device is None


def test_a_device_that_cannot_be_reached_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="locl"):
        open_suite(suite(tmp_path, 'name = "a"\ndevice = "locl"'), force=False)


def test_a_threshold_of_500_percent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="max_regression"):
        open_suite(suite(tmp_path, 'name = "a"\nmax_regression = 5'), force=False)


def test_outputs_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    check_writable({"junit": tmp_path / "new" / "folder" / "gate.xml", "history": file})
    for path, said in ((tmp_path, "is a folder"), (file / "gate.xml", "is no folder")):
        with pytest.raises(InputError, match=said):
            check_writable({"junit": path})
    with pytest.raises(InputError, match="one file for two outputs"):
        check_writable({"junit": file, "markdown": file})
