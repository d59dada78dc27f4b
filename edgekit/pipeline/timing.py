"""`Timing`: what a stage may ask the target about speed, answered by files in its own runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgekit.artifact import ArtifactFolder, load_artifact
from edgekit.bench import Candidate, compare, float_candidates
from edgekit.devices import Failure
from edgekit.errors import InputError
from edgekit.exporters import export
from edgekit.files import new_folder
from edgekit.graph.cost import cost
from edgekit.measurement import Profile
from edgekit.model import Model
from edgekit.pipeline import assess
from edgekit.pipeline.layer_times import layer_times
from edgekit.pipeline.place import int8_options


class Timings:
    """A model's file is made once, in a folder of the stage's, by number."""

    def __init__(self, assessor: assess.Assessor, name: str) -> None:
        self._assessor, self._name = assessor, name
        self._made: dict[Model, list[Candidate]] = {}

    def layers(self, model: Model) -> Mapping[str, float]:
        """Of the file in the precision that takes least time; what computes several layers counts for each."""
        assessor = self._assessor
        known = cost(model.module, model.input_shape).layers
        found: list[Mapping[str, float]] = []
        for candidate in self._candidates(model):
            times = layer_times(
                candidate,
                assessor.place.device,
                known,
                threads=assessor.job.request.threads,
                source=assessor.place.source,
            )
            if not isinstance(times, Failure):
                rows = [(part, row.time_ns) for row in times.rows for part in row.name.split(" + ")]
                found.append(dict(rows) | {"": times.total_ns})
        return min(found, key=lambda each: each[""], default={})

    def medians(self, models: Sequence[Model]) -> list[float | None]:
        """Milliseconds, each model in its fastest precision; None where none of them ran."""
        own = [self._candidates(model) for model in models]
        assessor = self._assessor
        measured = compare(
            [candidate for each in own for candidate in each],
            assessor.place.device,
            threads=assessor.job.request.threads,
            protocol=assess.PROTOCOL,
            source=assessor.place.source,
            progress=assessor.progress,
        )
        medians = []
        for each in own:
            profiles = [measured[candidate.name] for candidate in each]
            times = [profile.p50_ms for profile in profiles if isinstance(profile, Profile)]
            medians.append(min(times, default=None))
        return medians

    def _candidates(self, model: Model) -> list[Candidate]:
        """None for a model that cannot be exported so."""
        if model not in self._made:
            self._made[model] = self._new(model, str(len(self._made)))
        return self._made[model]

    def _new(self, model: Model, name: str) -> list[Candidate]:
        assessor = self._assessor
        runtime = assessor.place.runtime
        try:
            artifact = self._file(model, name)
        except InputError as error:
            assessor.progress.say(f"not tried: {error.what}")
            return []
        if model.quantization:
            options = int8_options(assessor.job.target, runtime)
            return [Candidate(f"{name}|int8", artifact, runtime, options)]
        rivals = float_candidates(artifact, runtime, assessor.place.device)
        return [Candidate(f"{name}|{each.name}", each.artifact, runtime, each.options) for each in rivals]

    def _file(self, model: Model, name: str) -> ArtifactFolder:
        place = self._assessor.folder / f"{self._name}-{name}"
        with new_folder(place) as temporary:
            export(model, self._assessor.job.target, temporary, self._assessor.pictures(assess.KNOWN_INPUTS))
        return load_artifact(place)
