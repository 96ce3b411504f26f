"""The wheel and the sdist, tried in an environment that holds what the wheel asks for and nothing else."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["stages.shapes.train=24", "stages.shapes.val=4", "stages.shapes.size=64", "trainer.accelerator=cpu"]
pytestmark = pytest.mark.long


def _build(kind: str, project: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(out)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist alone."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (project,) = unpacked.iterdir()
    return _build("wheel", project, tmp_path_factory.mktemp("wheel"))


def _asked(texts: list[str]) -> set[str]:
    """Names of the packages that are asked for without an extra."""
    asked = [Requirement(text) for text in texts]
    return {
        canonicalize_name(each.name) for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})
    }


def _with_theirs(names: set[str]) -> set[str]:
    """`names` and all that these ask for."""
    found, left = set(), set(names)
    while left:
        found.add(name := left.pop())
        left |= _asked(importlib.metadata.requires(name) or []) - found
    return found


def _link(name: str, folder: Path) -> None:
    """Have `folder` show the files of an installed package."""
    distribution = importlib.metadata.distribution(name)
    base = Path(str(distribution.locate_file("")))
    for first in {path.parts[0] for path in distribution.files or [] if path.parts[0] != ".."}:
        if not (folder / first).exists():
            (folder / first).symlink_to(base / first)


@pytest.fixture(scope="module")
def wsss(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of an environment with the wheel and, linked from this one, its requirements."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (information,) = packages.glob("wsss_lightning-*.dist-info")
    for name in _with_theirs(_asked(importlib.metadata.Distribution.at(information).requires or [])):
        _link(name, packages)
    return [str(folder / "bin" / "python"), "-m", "wsss_lightning.cli"]


def _call(command: list[str], *arguments: str, folder: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WSSS_"))}
    done = subprocess.run([*command, *arguments], cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_the_package_its_configuration_and_its_tables(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder, inside in (("wsss_lightning", ""), ("conf", "wsss_lightning/"), ("experiments", "wsss_lightning/")):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert inside + path.relative_to(ROOT).as_posix() in names


def test_the_sdist_has_the_texts(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "mkdocs.yml", "docs/index.md", "Makefile"} <= names
    assert not [name for name in names if name.startswith(("runs", "site", ".venv"))]


def test_an_experiment_runs_and_its_table_is_saved_in_the_working_folder(wsss: list[str], tmp_path: Path) -> None:
    version = (ROOT / "CITATION.cff").read_text().partition("\nversion: ")[2].split()[0]
    assert version in _call(wsss, "--version", folder=tmp_path)
    assert "val/miou" in _call(wsss, "run", "experiment=points/top", *SMALL, folder=tmp_path)
    _call(wsss, "table", "points/table2", *SMALL, "--save", "--suffix", "few", folder=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "experiments"}
    (saved,) = (tmp_path / "experiments" / "points" / "results").glob("*.json")
    assert saved.name == "table2-shapes-tiny-few.json"
    assert "written to runs/report.html" in _call(wsss, "report", folder=tmp_path)
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    rows = json.loads(_call(wsss, "table", "points/table2", *SMALL, "--format", "json", folder=tmp_path))["rows"]
    found = {row["name"]: row["results"][0]["status"] for row in rows if row["results"]}
    assert sorted(found.values()) == ["committed", *["missing"] * (len(found) - 1)]
