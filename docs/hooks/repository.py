"""Texts that lie elsewhere in the repository as pages, and links between texts as links between pages."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from pages import ROOT, Page

_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_NAME = re.compile(r"(?<![\w\[`])`([a-z_]+(?:\.\w+)+)`(?![`\]])")
_ELSEWHERE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def repository_pages() -> list[Page]:
    """Contributing, changelog, the README of each method and its committed results."""
    return [Page(path, (ROOT / source).read_text(encoding="utf-8"), source) for source, path in _places()]


def _places() -> Iterator[tuple[str, str]]:
    yield from _ELSEWHERE.items()
    for path in sorted((ROOT / "experiments").glob("*/README.md")):
        yield path.relative_to(ROOT).as_posix(), f"papers/{path.parent.name}.md"
    for path in sorted((ROOT / "experiments").glob("*/results/*.md")):
        yield path.relative_to(ROOT).as_posix(), f"results/{path.parts[-3]}/{path.name}"


def linked(text: str, source: str, place: str, places: Mapping[str, str]) -> str:
    """`text` of the repository's file `source` with its links as the page `place` needs them.

    `places` has the page of each file that is one. A link to any other file becomes its words alone.
    """

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        meant = os.path.normpath(PurePosixPath(source).parent / target)
        if meant not in places:
            return words
        return f"[{words}]({os.path.relpath(places[meant], PurePosixPath(place).parent)}{anchor})"

    return _LINK.sub(link, text)


def referred(text: str) -> str:
    """`text` of a paper's page with the names of our modules, functions and classes as links to their documentation."""
    return _NAME.sub(lambda match: f"[{match[0]}][wsss_lightning.{match[1]}]" if _is_code(match[1]) else match[0], text)


def _is_code(name: str) -> bool:
    """Whether the package has it; two words that begin with `data` are a setting as often as a module."""
    if name.startswith("data.") and name.count(".") == 1:
        return False
    path = ROOT.joinpath("wsss_lightning", *name.split("."))
    if path.with_suffix(".py").is_file():
        return True
    module, word = path.parent.with_suffix(".py"), path.name
    found = rf"^(?:def|class) {word}\b"
    return module.is_file() and re.search(found, module.read_text(encoding="utf-8"), re.MULTILINE) is not None
