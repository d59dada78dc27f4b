"""The page's own files, and how each is called to a browser."""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from pathlib import Path

PAGE = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}
SAID = {
    HTTPStatus.FORBIDDEN: "This link is not the one that edgekit shows in its terminal: open that one, whole. "
    "Each run has a link of its own.",
    HTTPStatus.MISDIRECTED_REQUEST: "This server was reached under another name than its own: open the link that "
    "edgekit shows in its terminal.",
    HTTPStatus.NOT_FOUND: "There is no such file here.",
}


def page_files() -> dict[str, bytes | Path]:
    """The page, by the names that it calls its parts."""
    return {path.name: path for path in sorted(PAGE.iterdir()) if path.suffix in TYPES}


def content_type(name: str) -> str:
    """What a browser must be told; what is not known is data."""
    return TYPES.get(Path(name).suffix, "application/octet-stream")


def refusal(status: HTTPStatus) -> bytes:
    """A page that says why a request is not answered."""
    said = escape(SAID.get(status, status.description or status.phrase))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{status.phrase}</title><h1>{status.phrase}</h1><p>{said}</p></html>"
    ).encode()
