"""The page of all speed results, and the program that runs all others."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "speed"
MACHINE = {
    "command": "python x.py",
    "date": "2026-01-01",
    "commit": "0123456789",
    "processor": "P",
    "device": None,
    "load_average_1_5_15_min": [0.5, 0, 0],
    "cores": 2,
}


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def _write(folder: Path, name: str, found: object) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"found": found, "machine": MACHINE}))


def test_ratios_say_how_many_times_as_fast_ours_is_and_what_is_missed(tmp_path: Path) -> None:
    from page import Line, page

    lines = [
        Line("a", "seconds", "peer", ours=["found", 0, "s"], theirs=["found", {"of": "them"}, "s"], target=1.5),
        Line("a", "the limit", "limit", ours=["found", 0, "s"], limit=1.0, target=1, missed="The time goes to x."),
        Line("b", "a rate", "peer", ours=["found", "ours"], theirs=["found", "theirs"], rate=True, target=0.8),
        Line("a", "not there", "peer", ours=["found", 5], theirs=["found", 6]),
        Line("nowhere", "never ran", "peer", ours=[], theirs=[]),
    ]
    _write(tmp_path, "a", [{"of": "us", "s": 2.0}, {"of": "them", "s": 3.0}])
    _write(tmp_path, "b", {"ours": 90, "theirs": 100})
    _write(tmp_path, "b-h100", {"ours": 70, "theirs": 100})
    text = "\n".join(page(lines, tmp_path))
    assert "| [seconds](results/a.md) | 2 s | peer | 3 s | 1.50 | 1.5 | met |" in text
    assert "| [the limit](results/a.md) | 2 s | limit | 1 s | 0.50 | 1 | **missed** |" in text
    assert "| [a rate](results/b.md) | 90 /s | peer | 100 /s | 0.90 | 0.8 | met |" in text
    assert "| [a rate](results/b-h100.md) | 70 /s | peer | 100 /s | 0.70 | 0.8 | **missed** |" in text
    assert "2 of 4 targets are met." in text
    assert "- the limit, beside limit: The time goes to x." in text
    assert "- a rate, beside peer: not looked into yet." in text
    assert "not there" not in text and "never ran" not in text
    assert "- `b-h100`: `python x.py`, 2026-01-01, commit 012345678, P, load average 0.5, 2 cores." in text


def test_the_page_is_what_its_results_say_and_tells_of_every_miss() -> None:
    from everything import PROGRAMS
    from page import HERE, measured, page, read_lines

    lines = read_lines()
    assert (HERE / "README.md").read_text(encoding="utf-8") == "\n".join(page(lines, HERE / "results")) + "\n"
    assert {"points" if line.program.startswith("points") else line.program for line in lines} - {"crf_device"} == {
        *PROGRAMS
    }
    found = [(line, line.ratio(found)) for line, _, found in measured(lines, HERE / "results")]
    assert all(line.missed for line, ratio in found if line.target is not None and ratio < line.target)


def test_all_programs_are_called_with_what_they_need_and_failures_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import everything

    called: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        called.append(command[1:])
        return SimpleNamespace(returncode=int("patches.py" in command[1]))

    monkeypatch.setattr(everything.subprocess, "run", run)
    with pytest.raises(SystemExit, match="these failed: patches"):
        everything.main(["--quick", "--out", str(tmp_path / "results")])
    names = [Path(command[0]).stem for command in called]
    assert names == [name for name in everything.PROGRAMS if name not in ("cosegment", "boundaries")]
    assert "cosegment: left out, it needs --images" in capsys.readouterr().out
    assert all((FOLDER / command[0]).is_file() for command in called)
    by_name = dict(zip(names, called, strict=True))
    assert by_name["cams"][1].endswith("JPEGImages") and by_name["priors"][1].endswith("JPEGImages/2007_000000.jpg")
    assert (tmp_path / "README.md").read_text().startswith("# Speed")
    called.clear()
    everything.main(["--only", "boundaries", "--berkeley", "/b", "--out", str(tmp_path / "results")])
    assert called == [[str(FOLDER / "boundaries.py"), "/b", "--out", str(tmp_path / "results")]]


def test_scenes_are_a_data_set_that_is_in_order(tmp_path: Path) -> None:
    from networks import NAMES
    from scenes import write_scenes

    from wsss_lightning.data.check import check_data
    from wsss_lightning.data.findings import Kind
    from wsss_lightning.data.voc import VOCDataModule

    data = VOCDataModule(root=write_scenes(tmp_path, 6), classes=NAMES, train_list="train", size=None)
    found = check_data(data, processes=1, progress=False).errors
    assert {error.kind for error in found} == {Kind.SHARED}, "one list serves as all three"
    assert [record.tags.tolist().index(True) for record in data.records("val")] == [*range(6)]
