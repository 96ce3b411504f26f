"""What texts say of the code: every command that they quote with all that it sets, versions, licences."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from wsss_lightning import __version__
from wsss_lightning.cli import app
from wsss_lightning.pipeline import plan
from wsss_lightning.pipeline.configuration import compose
from wsss_lightning.tables.spec import find_spec, read_spec

ROOT = Path(__file__).resolve().parents[1]
TEXTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("experiments/*/README.md"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_FILES = {"FILE", "tables/few.yaml"}  # that a text leaves to the reader


def _commands(text: str) -> Iterator[str]:
    """Lines of fenced blocks that are commands, without their comments and what is optional or to be filled in."""
    for block in re.findall(r"^```(?:console|)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            bare = (
                re.split(r"\s+#\s|\s{3,}(?=\S)", line.removeprefix("$ "))[0] if "   " in line or "#" in line else line
            )
            yield re.sub(r"\[(--[^\]]+)\]", r"\1", bare.removeprefix("$ ")).strip()


QUOTED = sorted({command for path in TEXTS for command in _commands(path.read_text(encoding="utf-8"))})
OURS = [command for command in QUOTED if command.startswith("wsss ")]


def _words(command: str) -> list[str]:
    """Arguments of `wsss`; `a|b` stands for a, `[...]` for nothing."""
    words = [word for word in shlex.split(command)[1:] if not re.fullmatch(r"\[[^=]*\]|\.\.\.", word)]
    return [word.removesuffix("...").removesuffix(",") for word in words]


def _left(words: list[str]) -> list[str]:
    """What the command's own parser leaves of its arguments; whatever it does not know ends in an error."""
    command: Any = typer.main.get_command(app)
    while subcommands := getattr(command, "commands", None):
        name, *words = words
        assert name.partition("|")[0] in subcommands, f"there is no command {name}"
        command = subcommands[name.partition("|")[0]]
    context = command.make_context("wsss", words)
    return [*context.args]


@pytest.mark.parametrize("command", OURS)
def test_the_command_line_knows_the_command(command: str) -> None:
    hydra = {"-m", "--cfg", "job", "--resolve"}
    assert not [word for word in _left(_words(command)) if "=" not in word and word not in hydra]


def _chosen(override: Override) -> str:
    """An override with the first of a sweep's values."""
    text = str(override.input_line).replace("=...", "=x")
    if not override.is_sweep_override():
        return text
    return f"{override.key_or_group}={next(iter(override.sweep_string_iterator()))}"


def _settings() -> Iterator[tuple[str, ...]]:
    for command in OURS:
        words = _words(command)
        name, *rest = words
        if name not in {"run", "plan", "table"}:
            continue
        given = [word for word in rest if re.match(r"~|[+\w./@]+=", word) and not re.match(r"seed=\d,|hydra", word)]
        choice: list[str] = []
        if name == "table" and rest[0] not in _FILES:
            choice = _row(rest[0])
        yield (*choice, *(_chosen(each) for each in OverridesParser.create().parse_overrides(given)))


def _row(table: str) -> list[str]:
    spec = read_spec(find_spec(table))
    row = next(row for row in spec.rows if row.experiment)
    return [f"experiment={row.experiment}", *row.overrides]


@pytest.mark.parametrize("overrides", sorted(set(_settings())), ids=" ".join)
def test_what_a_command_sets_is_there(overrides: tuple[str, ...]) -> None:
    assert compose(list(overrides)).stages


def test_runs_on_several_machines_are_planned_as_they_are_told(tmp_path: Path) -> None:
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "docs" / "scale.md").read_text("utf-8"), re.M | re.S)
    commands = [line.split("#")[0] for block in blocks for line in block.splitlines() if " wsss run " in line]
    assert len(commands) == 2
    for command in commands:
        overrides = [word for word in command.partition(" wsss run ")[2].split() if "=" in word]
        assert plan([*overrides, f"paths.root={tmp_path}"]).stages


def test_other_programs_and_targets_are_there() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for command in QUOTED:
        first, *rest = command.split()[:2] or [""]
        assert first != "make" or rest[0] in targets, command
        assert first != "python" or rest[0].startswith("-") or (ROOT / rest[0]).is_file(), command
    everything = "\n".join(path.read_text(encoding="utf-8") for path in TEXTS)
    extras = set(re.findall(r"wsss-lightning\[(\w+)\]", everything)) - {"EXTRA"}
    assert extras <= PROJECT["optional-dependencies"].keys()


def test_the_readme_is_short_and_one_version_stands_everywhere() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["version"] == __version__ == str(citation["version"])
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert len(citation["references"]) == 4 and all(paper["authors"] for paper in citation["references"])


_FAMILIES = {  # what packages say without an SPDX expression, and the expressions that it may mean
    "mit": {"MIT"},
    "apache": {"Apache-2.0"},
    "bsd": {"BSD-3-Clause", "BSD-2-Clause"},
    "cecill-b": {"CECILL-B"},
    "python software foundation": {"PSF-2.0"},
    "cmu license": {"MIT-CMU"},
    "mozilla": {"MPL-2.0"},
    "isc": {"ISC"},
}


def _stated(package: str) -> set[str]:
    """SPDX names that an installed package states, in one of the three ways in use; more than one where it is vague."""
    metadata = importlib.metadata.metadata(package)
    if expression := metadata["License-Expression"]:
        return set(re.split(r" AND | OR ", expression))
    classifiers = [text for text in metadata.get_all("Classifier") or [] if text.startswith("License")]
    stated = " ".join([*classifiers, *(metadata["License"] or "").splitlines()[:1]]).lower()
    return {name for word, names in _FAMILIES.items() if word in stated for name in names}


def test_licences_of_what_is_asked_for_are_those_that_the_packages_state() -> None:
    text = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    told = {
        canonicalize_name(name): set(licence.split(" AND "))
        for name, licence in re.findall(r"^\| ([\w-]+) \| ([\w. -]+?) \|", text, re.M)
    }
    asked = [*PROJECT["dependencies"], *(text for extra in PROJECT["optional-dependencies"].values() for text in extra)]
    names = {canonicalize_name(Requirement(text).name) for text in asked}
    assert names == told.keys() - {"package"}
    for name in names:
        try:
            stated = _stated(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        assert told[name] & stated, f"{name}: {told[name]}, but it states {stated}"
        assert not any("GPL" in licence for licence in told[name])
