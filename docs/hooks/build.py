"""What MkDocs calls: pages that are made or lie elsewhere, links between them, and a navigation of what there is."""

from pathlib import PurePosixPath
from typing import Any

from configuration import configuration_pages
from interface import interface_pages
from messages import message_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page as SitePage
from pages import ROOT
from repository import linked, referred, repository_pages

_MADE = [*repository_pages(), *configuration_pages(), *interface_pages(), message_page()]
_WRITTEN = {f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*")) if path.is_file()}
PLACES = _WRITTEN | {page.source or f"docs/{page.path}": page.path for page in _MADE}
SOURCES = {place: source for source, place in PLACES.items()}


def on_config(config: MkDocsConfig) -> None:
    """Have the navigation name all pages there are and no others."""
    pages = [*(name for name in _WRITTEN.values() if name.endswith(".md")), *(page.path for page in _MADE)]
    config.nav = expanded(config.nav or [], pages, _named(config.nav or []))


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that do not lie in docs/."""
    for page in _MADE:
        files.append(File.generated(config, page.path, content=page.text))


def on_page_markdown(markdown: str, page: SitePage, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files into links to their pages and, where papers are explained, names of code into links."""
    place = page.file.src_uri
    if place not in SOURCES:
        return markdown
    text = linked(markdown, SOURCES[place], place, PLACES)
    return referred(text) if place.startswith("papers") else text


def expanded(entries: list[Any], pages: list[str], named: set[str]) -> list[Any]:
    """A navigation without missing pages, and with all pages of a folder that are not `named` for its `FOLDER/*`."""
    kept: list[Any] = []
    for entry in entries:
        if isinstance(entry, dict):
            ((title, value),) = entry.items()
            inner = expanded(value, pages, named) if isinstance(value, list) else value if value in pages else None
            kept += [{title: inner}] if inner else []
        elif entry.endswith("*"):
            kept += [
                page
                for page in pages
                if PurePosixPath(page).match(entry) and _beside(page, entry) and page not in named
            ]
        elif entry in pages:
            kept.append(entry)
    return kept


def _beside(page: str, pattern: str) -> bool:
    return PurePosixPath(page).parent == PurePosixPath(pattern).parent


def _named(entries: list[Any]) -> set[str]:
    values = [value for entry in entries for value in (entry.values() if isinstance(entry, dict) else [entry])]
    return {name for value in values for name in (_named(value) if isinstance(value, list) else [value])}
