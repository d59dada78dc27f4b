"""`edgekit prune`: what others read, what people read, what is written, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

import edgekit
from edgekit.cli.app import app

SVG = "http://www.w3.org/2000/svg"
SMALL = ("mobilenetv2", "--input-size", "32", "--width", "0.5")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["prune", *arguments])


def test_a_network_is_pruned_proven_and_written(tmp_path: Path) -> None:
    out = tmp_path / "pruned"
    result = run(*SMALL, "--macs", "0.5", "--target", "host", "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["macs_after"] <= document["macs_allowed"] == document["macs_before"] // 2
    assert document["masked_difference"] <= 1e-9
    assert (document["criterion"], document["scope"]) == ("l2", "layer")  # without pictures
    stem = next(each for each in document["classes"] if "features.0.0" in each["layers"])
    assert {"features.0.1", "features.1.conv.0.0"} <= set(stem["layers"])
    assert stem["read_by"] == ["features.1.conv.1"]
    last = document["classes"][-1]
    assert (last["layers"], last["frozen"]) == (["classifier.1"], "network output")
    assert last["left"] == last["channels"] == 1000
    pruned = edgekit.load(out)
    assert sum(value.numel() for value in pruned.module.parameters()) == document["params_after"]
    check_drawing((out / "channels.svg").read_text(encoding="utf-8"))
    again = run(str(out), "--macs", str(document["macs_after"] // 2), "--json")
    assert json.loads(again.stdout)["macs_before"] == document["macs_after"]


def check_drawing(text: str) -> None:
    """Every convolution has a box with a tooltip; what must stay says why."""
    root = ElementTree.fromstring(text)
    titles = [element.text or "" for element in root.iter(f"{{{SVG}}}title")]
    assert root.get("role") == "img"
    assert titles[0].startswith("Channels of mobilenetv2: ")
    assert sum(title.startswith("features.17.conv.2: ") for title in titles) == 3  # the box and its two texts
    assert "classifier.1: 1000 → 1000 channels, must stay: network output" in titles
    assert len({title for title in titles if title.startswith(("features.", "classifier."))}) == 53


def test_a_drawing_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "drawn" / "graph.svg"
    assert run(*SMALL, "--macs", "0.5", "--svg", str(file)).exit_code == 0
    first = file.read_text(encoding="utf-8")
    check_drawing(first)
    again = run(*SMALL, "--macs", "0.5", "--svg", str(file))
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)
    assert run(*SMALL, "--macs", "0.5", "--svg", str(file), "--force").exit_code == 0
    assert file.read_text(encoding="utf-8") == first


def test_what_people_read() -> None:
    text = run(*SMALL, "--macs", "0.8").stdout
    assert "masked difference" in text
    assert "features.0.0 +3" in text
    assert "network output" in text
    assert "features.0.0 +3" not in run(*SMALL, "--macs", "0.8", "--show").stdout


def test_other_budgets_criteria_and_protected_layers() -> None:
    result = run(
        *(*SMALL, "--params", "0.8", "--memory-access", "0.95", "--scope", "global"),
        *("--criterion", "reconstruction", "--data", "digits", "--protect", "features.2", "--json"),
    )
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["criterion"], document["scope"]) == ("reconstruction", "global")
    assert set(document["budgets"]) == {"params", "memory_access"}
    assert all(each["after"] <= each["allowed"] for each in document["budgets"].values())
    assert document["macs_allowed"] is None
    kept = [
        each
        for each in document["classes"]
        if any(name.startswith("features.2.") for name in (*each["layers"], *each["read_by"]))
    ]
    assert [each["frozen"] for each in kept] == ["features.2 is protected"] * 3
    assert all(each["left"] == each["channels"] for each in kept)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("mobilenet2", "--macs", "0.5"), 2, "mobilenetv2"),
        ((*SMALL, "--macs", "0"), 2, "--macs 0 leaves nothing"),
        ((*SMALL, "--macs", "1"), 2, "nothing to remove"),
        ((*SMALL, "--macs", "10"), 1, "pruning cannot reach 10 MACs"),
        ((*SMALL, "--macs", "0.5", "--out", "taken"), 2, "taken exists already"),
        ((*SMALL, "--macs", "0.5", "--svg", "taken"), 2, "taken is a folder"),
        ((*SMALL, "--macs", "0.5", "--svg", "/dev/null/graph.svg"), 2, "/dev/null is no folder"),
        ((*SMALL, "--macs", "0.5", "--target", "jetsn"), 2, "jetson"),
        (SMALL, 2, "give one of --macs, --params, --memory-access, --peak-memory, --size"),
        ((*SMALL, "--peak-memory", "-1"), 2, "--peak-memory -1 leaves nothing"),
        ((*SMALL, "--size", "0.5"), 2, "give --target"),
        ((*SMALL, "--macs", "0.5", "--criterion", "taylor"), 2, "give --data DIR"),
        ((*SMALL, "--macs", "0.5", "--criterion", "tailor"), 2, "'tailor'"),
        ((*SMALL, "--macs", "0.5", "--criterion", "l2", "--data", "digits"), 2, "l2 looks at no pictures"),
        ((*SMALL, "--macs", "0.5", "--data", "digits"), 2, "has 1000 outputs"),
        ((*SMALL, "--macs", "0.5", "--protect", "features.0.9"), 2, "or features.0.0"),
        (("squeezenet1.1", *SMALL[1:3], "--macs", "0.5", "--criterion", "batch-norm-scale"), 2, "has none"),
    ],
)
def test_bad_input(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").mkdir()
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert said in result.stderr
    assert list(Path("taken").iterdir()) == []
