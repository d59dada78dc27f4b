"""Proof, not hope: the file run in its runtime and held to its network, integers counted, patterns read back."""

from __future__ import annotations

from edgekit.artifact import ArtifactFolder
from edgekit.bench import Candidate, Protocol, measure, predict
from edgekit.devices import answering
from edgekit.errors import EdgekitError, MeasurementError, MissingError
from edgekit.exporters import integer_counts, weights_in
from edgekit.exporters.layer_parity import THRESHOLD_DB
from edgekit.exporters.rules import refuse_broken, title
from edgekit.metrics import metric_of
from edgekit.model import Model
from edgekit.parity import sqnr_db
from edgekit.patterns import density, pattern_of
from edgekit.pipeline.assess import SAMPLES, Assessment, Assessor
from edgekit.pipeline.departing import compared, departure
from edgekit.quantizer.outputs import network_outputs
from edgekit.report import Parity

ENOUGH_DB = THRESHOLD_DB
GLANCE = Protocol(blocks=1, warmup_seconds=0, min_seconds=0, min_samples=1)
"""To ask a runtime what it compiled to, not how fast it is."""


def prove(assessor: Assessor, shipped: Assessment) -> Parity:
    """SQNR of the file in its runtime against the network it came from, and the integer operators on both sides.

    Under 25 dB the first layer that diverges is named, where the format lets one look inside.
    """
    inputs, place = assessor.pictures(SAMPLES), assessor.place
    if answering(place.device) is not place.device:  # a phone's benchmark tool gives no outputs
        place = assessor.here
    expected = network_outputs(shipped.model, inputs)
    actual = predict(
        shipped.artifact,
        place.runtime,
        inputs,
        place.device,
        threads=assessor.job.request.threads,
        options=dict(shipped.options),
    )
    decibels, counts = sqnr_db(expected, actual), integer_counts(shipped.artifact)
    witness, executed = _executed(assessor, shipped)
    parted = departure(decibels, lambda: compared(shipped.model, shipped.artifact, inputs))
    return Parity(
        runtime=place.runtime,
        device=place.device.name,
        sqnr_db=decibels,
        top1_agreement=metric_of(shipped.model.task).agreement(expected, actual),
        samples=len(inputs),
        integer_operators_in_file=counts.integer,
        weighted_operators=counts.weighted,
        integer_operators_executed=executed,
        executed_by=witness,
        first_divergence=parted.told if parted else None,
        repair=_tried(shipped.model),
        rules=_held_to(shipped.artifact),
    )


def _tried(model: Model) -> tuple[str, ...]:
    """What was done to bring an INT8 file nearer to its network, while it was being made."""
    details = model.lineage[-1].details if model.quantization else {}
    tried = details.get("repair")
    return (f"before: {details['departure']}", *tried) if isinstance(tried, list) else ()


def _held_to(artifact: ArtifactFolder) -> str:
    """Whose rules the file meets, read once more from what ships; raises `InputError` where it breaks one."""
    rules = artifact.manifest.int8_rules
    if rules is None:
        return ""
    refuse_broken(artifact.model_path, rules)
    return title(rules)


def _executed(assessor: Assessor, shipped: Assessment) -> tuple[str, int]:
    """The runtime that was asked what it compiled the file to, and how many weighted operators ran on integers."""
    own = shipped.profile.executed.integer_operators if shipped.profile else 0
    runtime, target = assessor.place.runtime, assessor.job.target
    witness = None if runtime == target.runtime else target.integer_witness
    if witness is None or shipped.model.quantization is None:
        return runtime, own
    asked = Candidate("witness", shipped.artifact, witness)
    threads = assessor.job.request.threads
    try:
        profile = measure(asked, assessor.here.device, threads=threads, protocol=GLANCE, source="proxy")
    except (MissingError, MeasurementError) as error:  # a second opinion: its absence is no reason to stop
        assessor.progress.say(f"{witness} was not asked what it makes of the file: {error.what}")
        return runtime, own
    return witness, profile.executed.integer_operators


def check_sparsity(shipped: Assessment) -> dict[str, str]:
    """Read the sparsity patterns back out of the shipped file: layer → pattern and density.

    Raises `EdgekitError` that names the first layer whose weights in the file do not hold its pattern.
    """
    if not shipped.model.sparsity:
        return {}
    weights = weights_in(shipped.artifact)
    found = {}
    for layer, pattern in shipped.model.sparsity.items():
        if layer not in weights:
            raise EdgekitError(
                f"{layer} should hold {pattern}, and {shipped.artifact.model_path.name} has no weights of it"
            )
        if not pattern_of(pattern).holds(weights[layer]):
            raise EdgekitError(f"{layer} lost its {pattern} pattern in {shipped.artifact.model_path.name}")
        found[layer] = f"{pattern}, {100 * density(weights[layer]):.0f} % non-zero"
    return found
