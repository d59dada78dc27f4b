"""A hub on 127.0.0.1 that speaks as much of the Hugging Face API as fetching a file takes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

Files = Mapping[str, bytes]
Repositories = Mapping[str, Mapping[str, Files]]
"""Repository → revision → file → content; `main, later` is where `main` has moved to when files are fetched."""


def commit_of(repository: str, revision: str) -> str:
    return hashlib.sha1(f"{repository}@{revision}".encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    repositories: Repositories
    seen: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.seen.append(f"{self.command} {path}")
        if path.startswith("api/models/"):
            name, _, revision = path.removeprefix("api/models/").partition("/revision/")
            self._info(name, revision or "main")
        else:
            name, _, rest = path.partition("/resolve/")
            revision, _, file = rest.partition("/")
            later = f"{revision}, later"
            revision = later if later in self.repositories.get(name, {}) else revision
            self._file(name, revision, file)

    def _info(self, name: str, revision: str) -> None:
        if (files := self._files(name, revision)) is None:
            return
        siblings = [{"rfilename": file} for file in files]
        body = {"id": name, "modelId": name, "sha": self._commit(name, revision), "siblings": siblings,
                "private": False, "tags": [], "downloads": 0, "likes": 0}  # fmt: skip
        self._answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str, revision: str, file: str) -> None:
        if (files := self._files(name, revision)) is None:
            return
        if file not in files:
            self._answer(404, b"Entry not found", {"X-Error-Code": "EntryNotFound"})
            return
        etag = hashlib.sha256(files[file]).hexdigest()
        headers = {
            "ETag": f'"{etag}"',
            "X-Repo-Commit": self._commit(name, revision),
            "Accept-Ranges": "bytes",
        }
        self._answer(200, files[file], headers)

    def _files(self, name: str, revision: str) -> Files | None:
        revisions = self.repositories.get(name)
        if revisions is None:
            self._answer(404, b"Repository not found", {"X-Error-Code": "RepoNotFound"})
            return None
        by_commit = {commit_of(name, known): files for known, files in revisions.items()}
        files = revisions.get(revision, by_commit.get(revision))
        if files is None:
            self._answer(404, b"Invalid rev id", {"X-Error-Code": "RevisionNotFound"})
        return files

    def _commit(self, name: str, revision: str) -> str:
        return commit_of(name, revision) if revision in self.repositories[name] else revision

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Requests are in `seen`."""


@contextmanager
def hub_server(repositories: Repositories) -> Iterator[tuple[str, list[str]]]:
    """Its address, and the requests that it has answered."""
    seen: list[str] = []
    handler = type("Handler", (_Handler,), {"repositories": repositories, "seen": seen})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
