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


def _write(folder: Path, name: str, found: object, *, device: str | None = None) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"found": found, "machine": MACHINE | {"device": device}}))


def test_ratios_say_how_many_times_as_fast_ours_is_and_what_is_missed(tmp_path: Path) -> None:
    from page import Line, page

    lines = [
        Line("a", "seconds", "peer", ours=["found", 0, "s"], theirs=["found", {"of": "them"}, "s"], target=1.5),
        Line("a", "the limit", "limit", ours=["found", 0, "s"], limit=1.0, target=1, missed="The time goes to x."),
        Line("b", "a rate", "peer", ours=["found", "ours"], theirs=["found", "theirs"], rate=True, target=0.8),
        Line("a", "not there", "peer", ours=["found", 5], theirs=["found", 6]),
        Line("a", "refused", "peer", ours=["found", 0, "s"], theirs=["found", 2]),
        Line("nowhere", "never ran", "peer", ours=[], theirs=[]),
    ]
    _write(tmp_path, "a", [{"of": "us", "s": 2.0}, {"of": "them", "s": 3.0}, None])
    _write(tmp_path, "b", {"ours": 90, "theirs": 100})
    _write(tmp_path, "b-other", {"ours": 70, "theirs": 100})
    text = "\n".join(page(lines, tmp_path))
    assert "| [seconds](results/a.md) | 2 s | peer | 3 s | 1.50 | 1.5 | met |" in text
    assert "| [the limit](results/a.md) | 2 s | limit | 1 s | 0.50 | 1 | **missed** |" in text
    assert "| [a rate](results/b.md) | 90 /s | peer | 100 /s | 0.90 | 0.8 | met |" in text
    assert "| [a rate](results/b-other.md) | 70 /s | peer | 100 /s | 0.70 | 0.8 | **missed** |" in text
    assert "2 of 4 targets are met." in text
    assert "- the limit, beside limit: The time goes to x." in text
    assert "- a rate, beside peer: not looked into yet." in text
    assert "- `a` has no numbers of: not there, beside peer; refused, beside peer." in text
    assert "- There is no result yet of: never ran (`nowhere`)." in text
    assert "| [not there]" not in text and "| [never ran]" not in text
    assert "- `b-other`: `python x.py`, 2026-01-01, commit 012345678, P, load average 0.5, 2 cores." in text


def test_a_gpu_has_targets_of_its_own(tmp_path: Path) -> None:
    from page import Line, page, read_lines

    lines = [
        Line("a", "maps", "loop", ours=["found", "ours"], theirs=["found", "loop"], target=1.1, gpu=1.5),
        Line("a", "of processors", "loop", ours=["found", "ours"], theirs=["found", "loop"], target=9),
        Line("a", "busy", "all", ours=["found", "busy"], limit=1, share=True, gpu_only=True, gpu=0.8),
    ]
    _write(tmp_path, "a", {"ours": 1.0, "loop": 1.3, "busy": None})
    _write(tmp_path, "a-h100", {"ours": 1.0, "loop": 1.4, "busy": 0.83}, device="H100")
    _write(tmp_path, "a-h200", {"ours": 1.0, "loop": 1.6, "busy": 0.7}, device="H200")
    text = "\n".join(page(lines, tmp_path))
    assert "| [maps](results/a.md) | 1 s | loop | 1.3 s | 1.30 | 1.1 | met |" in text
    assert "| [maps](results/a-h100.md) | 1 s | loop | 1.4 s | 1.40 | 1.5 | **missed** |" in text
    assert "| [maps](results/a-h200.md) | 1 s | loop | 1.6 s | 1.60 | 1.5 | met |" in text
    assert "| [of processors](results/a-h100.md) | 1 s | loop | 1.4 s | 1.40 |  |  |" in text
    assert "| [busy](results/a-h100.md) | 83.0% | all | 100.0% | 0.83 | 0.8 | met |" in text
    assert "| [busy](results/a-h200.md) | 70.0% | all | 100.0% | 0.70 | 0.8 | **missed** |" in text
    assert "3 of 6 targets are met." in text and "[busy](results/a.md)" not in text and "not measured" not in text
    named = {(line.program, line.gpu) for line in read_lines() if line.gpu}
    assert named == {("cams", 1.5), ("prediction", 0.87), ("prediction", 0.8), ("crf_device", 10)}


def test_the_page_is_what_its_results_say_and_tells_of_every_miss() -> None:
    from everything import PROGRAMS
    from page import HERE, lacking, measured, page, read_lines

    lines = read_lines()
    assert (HERE / "README.md").read_text(encoding="utf-8") == "\n".join(page(lines, HERE / "results")) + "\n"
    assert {line.program for line in lines} - {"crf_device"} == {*PROGRAMS}
    for line, _, found in measured(lines, HERE / "results"):
        assert line.missed or (wanted := line.wanted(found)) is None or line.ratio(found) >= wanted
    assert not any("has no numbers of" in sentence for sentence in lacking(lines, HERE / "results"))


def test_programs_are_run_as_the_committed_results_were_and_shortest_first() -> None:
    from everything import HERE, PROGRAMS

    for name, program in PROGRAMS.items():
        command = json.loads((HERE / "results" / f"{name}.json").read_text())["machine"]["command"].split()
        assert f"experiments/speed/{program.file or name}.py" in command
        options = {word for word in command if word.startswith("--")} - {"--processes", "--workers"}  # the machine's
        assert options <= {*program.full}, name
    assert [*PROGRAMS.values()] == sorted(PROGRAMS.values(), key=lambda program: program.minutes)
    assert {"generator", "--compiled"} <= {*PROGRAMS["training"].full}


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
    run_there = [(name, each) for name, each in everything.PROGRAMS.items() if not each.needs]
    assert names == [each.file or name for name, each in run_there]
    assert "cosegment: left out, it needs --images" in capsys.readouterr().out
    assert all((FOLDER / command[0]).is_file() for command in called)
    by_name = dict(zip([name for name, _ in run_there], called, strict=True))
    assert by_name["points_images"][1:3] == ["--only", "images"] and "--model" not in by_name["forms"]
    assert {"--compiled", "--only"} <= {*by_name["training"]}
    assert by_name["cams"][1].endswith("JPEGImages") and by_name["priors"][1].endswith("JPEGImages/2007_000000.jpg")
    assert (tmp_path / "README.md").read_text().startswith("# Speed")
    called.clear()
    given = ["--only", "boundaries", "forms", "sweep", "--without", "sweep", "--berkeley", "/b", "--model", "/m"]
    everything.main([*given, "--out", str(tmp_path / "results")])
    assert [Path(command[0]).stem for command in called] == ["forms", "boundaries"]
    assert called[0][2:4] == ["--model", "/m"] and called[1][1:4] == ["/b", "--rounds", "5"]


def test_the_pages_are_written_after_every_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import everything

    def run(command: list[str], **_: object) -> SimpleNamespace:
        if next(iter(everything.PROGRAMS)) not in command[1]:
            assert (tmp_path / "README.md").is_file()
            raise KeyboardInterrupt
        return SimpleNamespace(returncode=0)

    written: list[list[str]] = []
    monkeypatch.setattr(everything.subprocess, "run", run)
    monkeypatch.setattr(everything, "write_quoted", written.append)
    with pytest.raises(KeyboardInterrupt):
        everything.main(["--images", str(tmp_path), "--out", str(tmp_path / "results")])
    assert not written, "of results that are not the project's"
    monkeypatch.setattr(everything, "write_page", lambda _: None)
    everything._write(everything.HERE / "results")
    assert written == [[]]


def test_scenes_are_a_data_set_that_is_in_order(tmp_path: Path) -> None:
    from networks import NAMES
    from scenes import write_scenes

    from wsss_lightning.data.check import check_data
    from wsss_lightning.data.findings import FindingKind
    from wsss_lightning.data.voc import VOCDataModule

    data = VOCDataModule(root=write_scenes(tmp_path, 6), classes=NAMES, train_list="train", size=None)
    found = check_data(data, processes=1, progress=False).errors
    assert {error.kind for error in found} == {FindingKind.SHARED}, "one list serves as all three"
    assert [record.tags.tolist().index(True) for record in data.records("val")] == [*range(6)]
