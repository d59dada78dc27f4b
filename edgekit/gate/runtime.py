"""In which runtime a case is measured: the one that its files are for, or one that opens them anywhere."""

from __future__ import annotations

from dataclasses import replace

from edgekit.bench.candidate import precisions
from edgekit.devices import Device
from edgekit.devices.local import Local
from edgekit.errors import MissingError
from edgekit.gate.case import Case
from edgekit.runtimes import RUNTIME_OF


def in_runtime(case: Case, device: Device, tried: set[tuple[str, str]] | None = None) -> Case:
    """The case with the runtime that runs both sides, tried on its own tiny model where not every machine has it.

    This machine alone may fall back, which is said in the result: a device that was named is there to be measured
    as it will be used. Files of two formats (forced) stay in a runtime each. `tried` are pairs of device and runtime
    that were found to work, and is added to. Raises `MissingError` where the device, or a runtime that was named, has
    none, `MeasurementError` where it has one that fails.
    """
    tried = set() if tried is None else tried
    sides = case.candidate.manifest, case.base.manifest
    if not case.runtime and sides[0].format != sides[1].format:
        return case
    anywhere = RUNTIME_OF[sides[0].format]
    own = next((side.runtime for side in sides if side.runtime), anywhere)
    wanted = case.runtime or own
    if wanted == anywhere or (device.name, wanted) in tried:
        return replace(case, runtime=wanted)
    try:
        precisions(wanted, device)
    except MissingError as missing:
        if isinstance(device, Local) and not case.runtime:
            lacking = f"{own}, which the files are for: it is not on this machine, and {anywhere} ran them"
            return replace(case, runtime=anywhere, not_compared=lacking)
        raise MissingError(
            missing.what, hint=f"{missing.hint}; or --runtime {anywhere}, which is not what the files are for"
        ) from missing
    tried.add((device.name, wanted))
    return replace(case, runtime=wanted)
