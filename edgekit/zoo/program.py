"""A network as a `.pt2` file: kept by its content, and built from there without running anybody's code."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from edgekit import files
from edgekit.errors import InputError
from edgekit.zoo.program_file import VettedProgram, vet_program

if TYPE_CHECKING:
    from torch import nn

SUFFIX: Final = ".pt2"


def keep_program(path: Path) -> str:
    """Copy a `.pt2` file to where `build_program` finds it; gives its SHA-256, by which it is known.

    Raises `InputError` for a file that is missing.
    """
    if not path.is_file():
        raise InputError(f"{path} is {'no file' if path.exists() else 'missing'}", hint="give a .pt2 file")
    return keep(path.read_bytes())


def keep(archive: bytes) -> str:
    """Keep the content of a `.pt2` file where `build_program` finds it; gives its SHA-256."""
    digest = hashlib.sha256(archive).hexdigest()
    if not (kept := kept_program(digest)).is_file():
        try:
            files.write_bytes(kept, archive)
        except OSError as error:
            raise InputError(f"cannot keep a .pt2 file as {kept}: {error.strerror}") from error
    return digest


def exported(graph: nn.Module, input_shape: tuple[int, ...]) -> bytes:
    """A graph of ATen calls on any number of pictures (C, H, W), as a vetted `.pt2` file: the same bytes each time.

    Raises `InputError` where torch cannot export it, and as `vet_program` does.
    """
    import torch

    example, batch = torch.zeros((2, *input_shape[1:])), ({0: torch.export.Dim("batch")},)
    with TemporaryDirectory(prefix="edgekit-") as folder:
        path = Path(folder) / f"graph{SUFFIX}"
        try:
            with torch.no_grad():
                torch.export.save(torch.export.export(graph.eval(), (example,), dynamic_shapes=batch), path)
        except Exception as error:  # torch.export has no error of its own
            raise InputError(f"torch cannot export its graph for any batch: {error}") from error
        return vet_program(path).archive  # without the exporter's notes of where it ran


def kept_program(digest: str) -> Path:
    """Where the program of that SHA-256 is kept on this machine."""
    from platformdirs import user_cache_path

    return user_cache_path("edgekit") / "programs" / f"{digest}{SUFFIX}"


def read_program(digest: str) -> VettedProgram:
    """The kept program, vetted. Raises `InputError` as `vet_program` does, and where it is not kept here."""
    return vet_program(kept_program(digest))


def build_program(digest: str) -> nn.Module:
    """The kept program as a graph with its weights: (N, C, H, W) → what it was exported to give, in eval mode.

    Batch norms and dropout stay as in eval mode also where it trains. Raises `InputError` where torch cannot
    read it.
    """
    return built(read_program(digest).archive, digest[:12])


def built(archive: bytes, name: str = "of this run") -> nn.Module:
    """The network of a vetted `.pt2` file; see `build_program`."""
    import torch
    from torch import fx
    from torch.export.pt2_archive._package import load_pt2

    stream = io.BytesIO(archive)
    try:
        unlifted = load_pt2(stream).exported_programs["model"].module(check_guards=False)
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise InputError(
            f"torch {torch.__version__} cannot read the .pt2 file {name}: {error}",
            hint="export it again with this version of torch",
        ) from error
    graph = fx.Graph()  # torch's own forbids train() and eval(), and takes its input through a tree
    output = graph.graph_copy(unlifted.graph, {})
    graph.output(output[0] if isinstance(output, tuple | list) else output)
    return fx.GraphModule(unlifted, graph).eval()
