"""The list of mutants fits the code; the program that runs them takes minutes (tests/mutants.py)."""

from __future__ import annotations

from collections import Counter

import pytest
from mutants import ROOT, TABLE, Mutant, Outcome, page, read_mutants

ALL = read_mutants()


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: f"{mutant.owner}: {mutant.name}")
def test_a_mutant_changes_one_place_and_names_tests_that_exist(mutant: Mutant) -> None:
    source = (ROOT / mutant.file).read_text(encoding="utf-8")
    changed = mutant.applied(source)
    assert changed != source
    compile(changed, mutant.file, "exec")
    assert mutant.tests and all((ROOT / test).is_file() for test in mutant.tests)


def test_every_method_has_some() -> None:
    counts = Counter(mutant.owner for mutant in ALL)
    assert min(counts[method] for method in ("points", "priors", "coseg", "patches", "shared")) >= 5


def test_the_table_is_of_these_mutants_and_none_survives() -> None:
    written = TABLE.read_text(encoding="utf-8")
    rows = [line.split(" | ")[:3] for line in page(dict.fromkeys(ALL, Outcome("a test", 0))).splitlines()]
    assert [line.split(" | ")[:3] for line in written.splitlines() if line.startswith("| ")] == [
        row for row in rows if row[0].startswith("| ")
    ]
    assert "**none**" not in written


def test_a_place_that_moved_is_named() -> None:
    mutant = Mutant("shared", "a name", "a.py", "x = 1", "x = 2", ())
    with pytest.raises(ValueError, match=r"a name: a\.py holds 'x = 1' 2 times, not once"):
        mutant.applied("x = 1\nx = 1\n")
