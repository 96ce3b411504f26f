"""Do tests notice wrong results? Each mutant of mutants.yaml changes one place of a copy; a test must fail.

python tests/mutants.py [NAME ...]    all of them, or those named; of all it writes tests/mutants.md
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
MUTANTS, TABLE = (ROOT / "tests" / f"mutants.{suffix}" for suffix in ("yaml", "md"))
_COPIED = ("wsss_lightning", "conf", "tests", "pyproject.toml")
_PASSED, _FAILED = 0, 1  # exit statuses of pytest if tests could run; an import that breaks has another


@dataclass(frozen=True)
class Mutant:
    """`old`, which `file` holds once, becomes `new`; one of the files `tests` has to fail. Paths are from the root."""

    owner: str
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, source: str) -> str:
        """The text of the file with the mutant in it.

        Raises:
            ValueError: `old` is not there exactly once.
        """
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.file} holds {self.old!r} {source.count(self.old)} times, not once")
        return source.replace(self.old, self.new)


@dataclass(frozen=True)
class Outcome:
    """The test that failed first, None if none did, and how long it took in seconds."""

    failed: str | None
    seconds: float


def read_mutants() -> list[Mutant]:
    """All of them, in the order of the file."""
    by_owner = yaml.safe_load(MUTANTS.read_text(encoding="utf-8"))
    return [_mutant(owner, **entry) for owner, entries in by_owner.items() for entry in entries]


def _mutant(owner: str, *, name: str, file: str, old: str, new: str, tests: Sequence[str]) -> Mutant:
    folder = "" if owner == "shared" else f"methods/{owner}/"
    paths = tuple(f"tests/{folder}{test}" for test in tests)
    return Mutant(owner, name, f"wsss_lightning/{folder}{file}", old, new, paths)


def try_mutant(mutant: Mutant, folder: Path) -> Outcome:
    """Run its tests with the mutant in the copy of the project at `folder`, which then is as it was."""
    path, start = folder / mutant.file, time.perf_counter()
    source = path.read_text(encoding="utf-8")
    path.write_text(mutant.applied(source), encoding="utf-8")
    status, report = run_tests(folder, mutant.tests)
    path.write_text(source, encoding="utf-8")
    if status not in (_PASSED, _FAILED):
        raise RuntimeError(f"{mutant.name}: the tests could not run:\n{report}")
    first = re.search(r"^(?:FAILED|ERROR) (?:tests/)?(\S+)", report, re.MULTILINE)
    return Outcome(first[1] if first else None, time.perf_counter() - start)


def run_tests(folder: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Exit status and report of pytest in a copy of the project, up to the first failure."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def copy_project(folder: Path) -> None:
    """What the tests need of the project, as it is now."""
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, folder / name)


def page(outcomes: Mapping[Mutant, Outcome]) -> str:
    """A table with a row for each mutant."""
    caught = sum(outcome.failed is not None for outcome in outcomes.values())
    rows = [
        f"| {mutant.owner} | {mutant.name} | `{mutant.file.removeprefix('wsss_lightning/')}` | {_verdict(outcome)} |"
        for mutant, outcome in outcomes.items()
    ]
    said = f"{caught} of {len(outcomes)} wrong results fail a test (`python tests/mutants.py`)."
    head = ["| whose | what is wrong | where | the test that fails first |", "|---|---|---|---|"]
    return "\n".join(["# Mutants", "", said, "", *head, *rows, ""])


def _verdict(outcome: Outcome) -> str:
    return "**none**" if outcome.failed is None else f"`{outcome.failed}`"


def main(names: Sequence[str]) -> int:
    """Try the mutants one by one; 1 if a wrong result passed."""
    outcomes = {}
    with tempfile.TemporaryDirectory() as folder:
        copy_project(Path(folder))
        for mutant in read_mutants():
            if not names or mutant.name in names:
                outcomes[mutant] = try_mutant(mutant, Path(folder))
                said = f"{mutant.owner}: {mutant.name}: {_verdict(outcomes[mutant])}"
                print(f"{said} ({outcomes[mutant].seconds:.0f} s)", flush=True)
    if not names:
        TABLE.write_text(page(outcomes), encoding="utf-8")
    return int(any(outcome.failed is None for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
