"""Weights from the Hugging Face hub: `hf:REPO[@REVISION][/FILE]`, kept in the hub's own cache.

`HF_ENDPOINT`, `HF_HUB_OFFLINE`, `HF_HOME` and `HF_TOKEN` mean what they mean everywhere.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from edgekit.errors import InputError, MissingError
from edgekit.optional import load

PREFIX: Final = "hf:"
SUFFIXES: Final = (".safetensors", ".bin", ".pth", ".pt")
"""Of files that may hold weights, the preferred first; all but the first are read without unpickling code."""
USUAL: Final = ("model", "pytorch_model")
_FORM = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^/@]+))?(/(?P<file>.+))?")


@dataclass(frozen=True)
class WeightsFile:
    """A weights file on this machine, and where it came from as a report tells it."""

    path: Path
    origin: str


@dataclass(frozen=True)
class _Wanted:
    repo: str
    revision: str | None
    file: str | None

    def __str__(self) -> str:
        return self.repo + (f"@{self.revision}" if self.revision else "")


def weights_file(given: Path | str) -> WeightsFile:
    """The file that `--weights` names: its own path, or fetched from the hub (from the cache when offline).

    Raises `InputError` for a repository, revision or file that is not there, and where there are no weights in
    it; `MissingError` where the hub cannot be reached and nothing is cached, and without `huggingface_hub`.
    """
    text = str(given)
    if not text.startswith(PREFIX):
        if not (path := Path(given)).is_file():
            raise InputError(
                f"{path} is {'no file' if path.exists() else 'missing'}", hint="give a weights file"
            )
        return WeightsFile(path, path.name)
    parts = _FORM.fullmatch(text)
    if parts is None:
        raise InputError(
            f"{text} is not hf:OWNER/NAME[@REVISION][/FILE]",
            hint="a revision's own slashes are written %2F: hf:timm/resnet18@refs%2Fpr%2F1",
        )
    revision = unquote(parts["revision"]) if parts["revision"] else None
    wanted = _Wanted(parts["repo"], revision, parts["file"])
    path, commit, name = _fetched(wanted)
    return WeightsFile(path, f"{PREFIX}{wanted.repo}@{commit}/{name}")


def _fetched(wanted: _Wanted) -> tuple[Path, str, str]:
    """The file on this machine, the commit that it is of, and its name there."""
    hub = load("huggingface_hub", extra="hub")
    errors, http = load("huggingface_hub.errors", extra="hub"), load("httpx2", extra="hub")
    if not sys.stderr.isatty():
        load("huggingface_hub.utils", extra="hub").disable_progress_bars()
    try:
        info = hub.model_info(wanted.repo, revision=wanted.revision)
        name = _chosen(wanted, [entry.rfilename for entry in info.siblings or ()])
        path = Path(hub.hf_hub_download(wanted.repo, name, revision=wanted.revision))
        # Not `info.sha`, after which the branch may have moved; asked for by it, the cache would not know the branch.
        return path, path.parents[name.count("/")].name, name
    except errors.HFValidationError as error:
        raise InputError(f"{wanted} is no name that the hub gives: {error}") from error
    except errors.GatedRepoError as error:
        raise InputError(
            f"the hub gives {wanted} only to those who were granted access",
            hint="ask for it on the repository's page, then hf auth login (or HF_TOKEN)",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"the hub has no repository {wanted.repo}",
            hint="look at the spelling; a private one needs hf auth login (or HF_TOKEN)",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(
            f"{wanted.repo} has no revision {wanted.revision}", hint="give a branch, a tag or a commit"
        ) from error
    except errors.OfflineModeIsEnabled as error:
        return _cached(wanted, "HF_HUB_OFFLINE is set", error)
    except (http.TransportError, errors.LocalEntryNotFoundError) as error:
        return _cached(
            wanted, f"{load('huggingface_hub.constants', extra='hub').ENDPOINT} cannot be reached", error
        )
    except errors.HfHubHTTPError as error:
        raise MissingError(
            f"the hub failed on {wanted}: HTTP {error.response.status_code}", hint="try again later"
        ) from error


def _chosen(wanted: _Wanted, names: list[str]) -> str:
    """The file that was named, or the one that holds the weights."""
    listed = f"it holds {', '.join(sorted(names)[:20]) or 'nothing'}"
    if wanted.file is not None:
        if wanted.file not in names:
            raise InputError(f"{wanted} has no file {wanted.file}", hint=listed)
        return wanted.file
    for suffix in SUFFIXES:
        found = [name for name in names if name.endswith(suffix)]
        usual = [f"{stem}{suffix}" for stem in USUAL if f"{stem}{suffix}" in found]
        if usual or len(found) == 1:
            return (usual or found)[0]
        if found:
            raise InputError(
                f"{wanted} has several weights files",
                hint=f"name one: hf:{wanted}/{sorted(found)[0]}; {listed}",
            )
    raise InputError(f"{wanted} holds no weights ({', '.join(SUFFIXES)})", hint=listed)


def _cached(wanted: _Wanted, reason: str, error: Exception) -> tuple[Path, str, str]:
    """The file of an earlier fetch."""
    hub = load("huggingface_hub", extra="hub")
    try:
        repositories = hub.scan_cache_dir().repos
    except load("huggingface_hub.errors", extra="hub").CacheNotFound:
        repositories = ()
    for repository in repositories:
        if repository.repo_id != wanted.repo or repository.repo_type != "model":
            continue
        for revision in repository.revisions:
            if (wanted.revision or "main") in (revision.commit_hash, *revision.refs):
                paths = {
                    file.file_path.relative_to(revision.snapshot_path).as_posix(): file.file_path
                    for file in revision.files
                }
                if any(path == wanted.file if wanted.file else path.endswith(SUFFIXES) for path in paths):
                    name = _chosen(wanted, list(paths))
                    return paths[name], revision.commit_hash, name
    raise MissingError(
        f"{reason}, and {wanted} was not fetched before",
        hint="go online once, or give a file: --weights FILE",
    ) from error
