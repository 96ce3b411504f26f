"""The reference of the package: a page for every package of it, each module's docstrings by mkdocstrings."""

from collections.abc import Iterator
from pathlib import Path

from pages import ROOT, Page

_PACKAGE = ROOT / "wsss_lightning"
_INSIDE = {"commands"}  # what the command line is made of, told by its own help


def interface_pages() -> list[Page]:
    """The package itself and each package of it that has modules."""
    packages = sorted(path.parent for path in _PACKAGE.rglob("__init__.py"))
    shown = [package for package in packages if package.name not in _INSIDE and _modules(package)]
    return [Page(f"reference/api/{_dotted(package)}.md", "\n".join(_lines(package))) for package in shown]


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def _modules(package: Path) -> list[Path]:
    return [path for path in sorted(package.glob("*.py")) if not path.name.startswith("_") and path.name != "cli.py"]


def _lines(package: Path) -> Iterator[str]:
    name = _dotted(package)
    yield f"# {name.removeprefix('wsss_lightning.')}"
    yield ""
    yield f"::: {name}"
    yield "    options: {show_root_heading: false, show_root_toc_entry: false, heading_level: 2}"
    for module in _modules(package):
        yield ""
        yield f"::: {_dotted(module)}"
