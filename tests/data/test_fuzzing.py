"""Every reader on generated files: random bytes, and whole files with a few bytes or values exchanged.

`WSSS_FUZZ_SECONDS` (60) is how long each reader is tried. Whatever comes is read or refused in one sentence.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import broken_coco
import broken_pictures
import broken_tables
import pytest
from broken_case import Broken
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsss_lightning.errors import InputError

pytestmark = pytest.mark.long
SECONDS = float(os.environ.get("WSSS_FUZZ_SECONDS", "60"))
CASES = [*broken_coco.CASES, *broken_tables.CASES, *broken_pictures.CASES]
Json = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
        st.sampled_from(["cat", "a.jpg", 1, 3]),
    ),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
SETTINGS = settings(max_examples=500, deadline=timedelta(seconds=20), suppress_health_check=list(HealthCheck))


def by_reader() -> dict[str, list[bytes]]:
    """The files of the corpus, whole and broken, of every file name."""
    found: dict[str, list[bytes]] = {}
    with TemporaryDirectory() as folder:
        for number, case in enumerate(CASES):
            place = Path(folder) / str(number)
            place.mkdir()
            path = case.write(place)
            if path.is_file() and path.stat().st_size < 5000:
                found.setdefault(case.name, []).append(path.read_bytes())
    return found


SEEDS = by_reader()
READERS: dict[str, Callable[[Path], object]] = {case.name: case.read for case in CASES if case.name in SEEDS}


def read_or_refuse(case: Broken) -> None:
    with TemporaryDirectory() as folder:
        path = case.write(Path(folder))
        try:
            case.read(path)
        except InputError as refusal:
            assert "\n" not in str(refusal)


@st.composite
def changed(draw: Any, seeds: list[bytes]) -> bytes:
    """A file of the corpus with some parts cut, repeated, exchanged or overwritten."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        stop = draw(st.integers(start, min(len(content), start + 40)))
        piece = bytes(content[start:stop])
        other = draw(st.sampled_from(seeds))
        choices = [b"", piece * 3, other[start:stop], draw(st.binary(max_size=8)), draw(st.text(max_size=4)).encode()]
        content[start:stop] = draw(st.sampled_from(choices))
    return bytes(content)


def try_for(seconds: float, strategy: st.SearchStrategy[Any], attempt: Callable[[Any], None]) -> None:
    """Rounds of examples until the time is over; the first round always runs whole."""
    end = time.monotonic() + seconds
    for seed in range(1_000_000):
        run = given(strategy)(lambda value: attempt(value))
        checked = SETTINGS(run)
        checked.hypothesis_seed = seed  # type: ignore[attr-defined]
        checked()
        if time.monotonic() > end:
            return


@pytest.mark.parametrize("name", sorted(READERS))
def test_changed_files_are_read_or_refused(name: str) -> None:
    files = changed(SEEDS[name]) | st.binary(max_size=200)
    try_for(SECONDS, files, lambda content: read_or_refuse(Broken("fuzz", name, content, READERS[name])))


@pytest.mark.parametrize("name", sorted(READERS))
def test_files_that_reach_new_code_are_read_or_refused(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed: pip install atheris, where it has a wheel")
    here = Path(__file__).resolve().parent
    places = [str(here), str(here.parent), str(here.parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    command = [sys.executable, str(here / "fuzz_coverage.py"), name, str(int(SECONDS))]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_any_value_in_an_annotation_file_is_read_or_refused() -> None:
    def attempt(change: tuple[str, int, str, Any]) -> None:
        section, place, key, value = change
        content = json.loads(json.dumps(broken_coco.WHOLE))
        content[section][place % len(content[section])][key] = value
        read_or_refuse(Broken("fuzz", "instances.json", json.dumps(content), broken_coco.read))

    keys = st.sampled_from(sorted({key for entries in broken_coco.WHOLE.values() for key in entries[0]}))
    try_for(SECONDS, st.tuples(st.sampled_from(sorted(broken_coco.WHOLE)), st.integers(0, 1), keys, Json), attempt)


def test_any_outline_is_painted_or_refused() -> None:
    numbers = st.lists(st.floats(-10, 20) | st.integers(-10, 20), max_size=12)
    runs = st.lists(st.integers(-1, 60) | st.integers(), max_size=8) | st.text(max_size=12)
    size = st.just([8, 6]) | Json
    outlines = (
        st.lists(numbers | Json, max_size=4) | st.fixed_dictionaries({"size": size, "counts": runs | Json}) | Json
    )
    write = partial(Broken, "fuzz", "instances.json", read=broken_coco.read)
    try_for(SECONDS, outlines, lambda outline: read_or_refuse(write(content=broken_coco.outlined(outline))))
