"""The quantize stage: how far it goes, and what it tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from contexts import context
from small_networks import Residual, model_of

from edgekit.data import Data, load_data
from edgekit.model import Event, Model
from edgekit.recipe import QuantizeOptions
from edgekit.stages import RejectedError
from edgekit.stages.quantize import Quantize
from edgekit.stages.training import recalibrate

SAMPLES = 64


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data(None, task="classification", input_size=32)


@pytest.fixture(scope="module")
def model(data: Data) -> Model:
    plain = replace(model_of(Residual), preprocessing=data.preprocessing)
    assert data.train is not None
    recalibrate(plain.module, data.train, "cpu")
    return plain


def stage(**options: object) -> Quantize:
    few = {"calibration_samples": SAMPLES, "adaround_steps": 10, "qat_epochs": 1}
    given = {"kind": "quantize", "mixed": False, **few, **options}
    return Quantize(QuantizeOptions.model_validate(given))


def test_it_tells_what_was_tried_and_on_what(model: Model, data: Data) -> None:
    found = stage(method="ptq").apply(model, context(model, data))
    told = found.lineage[-1].details
    assert told["method"] == "ptq"
    assert told["calibration_samples"] == SAMPLES
    assert len(str(told["calibration_sha256"])) == 64
    observers, tried = told["observers"], told["tried"]
    assert isinstance(observers, dict)
    assert isinstance(tried, dict)
    assert sum(map(int, observers.values())) > 10
    assert set(tried) <= {"equalization", "bias correction"}
    assert "bias correction" in tried
    assert all(text.endswith((" dB, kept", " dB, not kept")) for text in map(str, tried.values()))
    assert isinstance(told["sqnr_db"], float)
    assert told["calibration_doubt"] is None


def test_auto_stops_where_the_budget_is_kept(model: Model, data: Data) -> None:
    asked: list[Model] = []

    def measured(one: Model) -> float:
        asked.append(one)
        return 0.9

    found = stage().apply(model, context(model, data, accuracy_floor=0.9, measured_accuracy=measured))
    assert len(asked) == 1
    assert found.lineage[-1].details["method"] == "ptq"


@pytest.mark.parametrize(
    ("accuracies", "method"), [((0.5, 0.9), "adaround"), ((0.5, 0.4, 0.3), "ptq"), ((0.5, 0.6, 0.7), "qat")]
)
def test_auto_goes_as_far_as_it_takes_and_keeps_the_best(
    model: Model, data: Data, accuracies: tuple[float, ...], method: str
) -> None:
    left = list(accuracies)
    asked = context(model, data, accuracy_floor=0.9, measured_accuracy=lambda _: left.pop(0))
    found = stage().apply(model, asked)
    assert not left
    assert found.quantization is not None
    if (
        method == "adaround"
    ):  # where ten steps of a layer bring it no nearer, calibration's own is what is measured
        assert found.lineage[-1].details["tried"]["adaround"]  # type: ignore[call-overload,index]
    else:
        assert found.quantization.method == method
        told = str(found.lineage[-1].details["training"])
        assert told.endswith(f"{100 * accuracies[2]:.2f} % with it")


def test_clustered_weights_keep_their_values(model: Model, data: Data) -> None:
    clustered = replace(model, lineage=(*model.lineage, Event(stage="tfmot-cluster", summary="")))
    tried = stage(method="adaround").apply(clustered, context(model, data)).lineage[-1].details["tried"]
    assert isinstance(tried, dict)
    assert set(tried) == {"bias correction"}
    with pytest.raises(RejectedError, match="clustered weights"):
        stage(method="tfmot-qat").apply(clustered, context(model, data, measured_accuracy=lambda _: 0.5))


def test_pictures_of_another_scale_are_told(model: Model, data: Data) -> None:
    said: list[str] = []

    class Heard:
        def __init__(self) -> None:
            self.task = context(model, data).progress.task

        def say(self, line: str) -> None:
            said.append(line)

    narrow = replace(data, calibration=_Scaled(data))
    found = stage(method="ptq").apply(model, context(model, narrow, progress=Heard()))
    doubt = found.lineage[-1].details["calibration_doubt"]
    assert doubt is not None
    assert said == [doubt]


class _Scaled:
    """The digits at an eighth of their contrast: divided by the standard deviation twice, say."""

    def __init__(self, data: Data) -> None:
        self.split, self.targets, self.flips = data.calibration, None, False

    def __len__(self) -> int:
        return len(self.split)

    def images(self, indices: np.ndarray) -> np.ndarray:
        return self.split.images(indices) / 8
