"""Broken inputs of every reader end in one sentence or are read for what they are: no traceback, hang or huge array."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import broken_coco
import broken_pictures
import broken_tables
import pytest
from broken_case import Broken

from wsss_lightning.errors import InputError

CASES = [*broken_coco.CASES, *broken_tables.CASES, *broken_pictures.CASES]


def test_there_are_many() -> None:
    assert len(CASES) >= 300


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}: {case.about}")
def test_a_broken_input_is_refused_in_one_sentence(case: Broken, tmp_path: Path) -> None:
    path, before = case.write(tmp_path), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if case.refused is None:
        assert case.read(path) == case.value
    else:
        with pytest.raises(InputError) as refusal:
            case.read(path)
        sentence = str(refusal.value)
        assert re.search(case.refused, sentence) and "\n" not in sentence and len(sentence) < 1500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB, of the whole process
