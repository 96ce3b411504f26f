"""The locked requirements are those of pyproject.toml, each with the hashes of its files and no address of a server."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
_PIN = re.compile(
    r"^([\w.-]+)==([\w.!+-]+)(?: ;[^\\]*)? \\(?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)+$", re.MULTILINE
)


def _locked(name: str) -> dict[str, str]:
    """Version by package."""
    text = (FOLDER / name).read_text()
    pins = _PIN.findall(text)
    assert len(pins) == len(re.findall(r"^\S", text, re.M)), "every line that begins an entry is a pin with hashes"
    return {canonicalize_name(package): version for package, version in pins}


def _asked() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return [asked for asked in map(Requirement, texts) if asked.name != project["name"]]


@pytest.mark.parametrize("name", ["dev.txt", "floors.txt"])
def test_all_that_the_project_asks_for_is_locked(name: str) -> None:
    locked = _locked(name)
    for asked in _asked():
        version = locked.get(canonicalize_name(asked.name))
        assert version is not None and version in asked.specifier, f"{asked}: run `make lock`"


def test_floors_are_the_lowest_versions() -> None:
    locked = _locked("floors.txt")
    for asked in _asked():
        floor = next((each.version for each in asked.specifier if each.operator == ">="), None)
        assert floor is not None, f"{asked} has no floor"
        # A floor such as 2.16 stands for its first release, 2.16.0 or a later one where that was withdrawn.
        assert Version(locked[canonicalize_name(asked.name)]).release[:2] == (*Version(floor).release, 0)[:2], asked


def test_what_things_are_built_with_is_locked_and_no_server_is_named() -> None:
    assert {"hatchling", "editables", "setuptools", "wheel", "cython"} <= _locked("build.txt").keys()
    for path in FOLDER.iterdir():
        assert "://" not in path.read_text() and "index-url" not in path.read_text()


@pytest.mark.parametrize("job", ["run", "floors"])
def test_every_job_calls_targets_of_the_makefile(job: str) -> None:
    path = ROOT / ".ci" / job
    called = re.findall(r"^make (\S+)$", path.read_text(), re.M)
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert called and {*called} <= targets
    assert os.access(path, os.X_OK)
