from __future__ import annotations

import csv
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_web import AMBIGUOUS, DUPLICATES, NAMES, UNDECODABLE, picture, write_web
from PIL import Image, ImageOps
from typer.testing import CliRunner

from wsss_lightning import cli
from wsss_lightning.data.prepare import web
from wsss_lightning.data.web import WebDataModule

KEPT = [f"{name}/{file}" for name, files in NAMES.items() for file in files]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_web(tmp_path / "crawl")
    return tmp_path / "crawl"


def _prepare(source: Path, root: Path, *options: str) -> str:
    where = ["--source", str(source), "--root", str(root), "--processes", "1"]
    done = CliRunner().invoke(cli.app, ["data", "prepare", "web", *where, *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _images(root: Path) -> dict[str, str]:
    """The image written for each file of the source."""
    return {row["source"]: row["image"] for row in _rows(root / "tags.csv")}


def _written(root: Path) -> dict[str, int]:
    """Every file below the root and when it was written."""
    return {path.name: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def _open(root: Path, source: str) -> Image.Image:
    return Image.open(root / "JPEGImages" / _images(root)[source])


def test_every_file_is_kept_or_left_out_with_its_reason(source: Path, tmp_path: Path) -> None:
    output = _prepare(source, tmp_path / "web")
    kept = _rows(tmp_path / "web" / "tags.csv")
    assert sorted(row["source"] for row in kept) == sorted(KEPT)
    assert all(row["tags"] == row["source"].partition("/")[0] for row in kept)
    assert all(re.fullmatch(rf"{row['tags']}_\d{{12}}\.jpg", row["image"]) for row in kept)
    assert {path.name for path in (tmp_path / "web" / "JPEGImages").iterdir()} == {row["image"] for row in kept}
    found = {(row["file"], row["reason"]): row["detail"] for row in _rows(tmp_path / "web" / "left_out.csv")}
    assert [file for file, reason in found if reason == "undecodable"] == sorted(UNDECODABLE)
    assert {file: detail for (file, reason), detail in found.items() if reason == "two classes"} == AMBIGUOUS
    copies = {file: detail for (file, reason), detail in found.items() if reason == "duplicate"}
    assert copies == dict.fromkeys(DUPLICATES, "cat/a plain cat.jpg")
    assert len(found) == len(UNDECODABLE) + len(AMBIGUOUS) + len(DUPLICATES)
    (total,) = (line for line in output.splitlines() if re.search(r"\ball\b", line))
    assert re.findall(r"\d+", total) == ["22", "11", "5", "4", "2"]


def test_the_reasons_are_the_decoders(source: Path, tmp_path: Path) -> None:
    _prepare(source, tmp_path / "web")
    details = {row["file"]: row["detail"] for row in _rows(tmp_path / "web" / "left_out.csv")}
    assert "too many pixels" in details["dog/bomb.png"]
    assert "truncated" in details["cat/cut.jpg"]
    assert details["cat/deep.png"].startswith("cat/deep.png has pixels of type I;16: save it as RGB")
    assert not any(str(tmp_path) in detail for detail in details.values()), "moving the source would change the list"


@pytest.mark.parametrize("long_side", [340, 500])
def test_images_are_rgb_jpegs_no_larger_than_asked(source: Path, tmp_path: Path, long_side: int) -> None:
    _prepare(source, tmp_path / "web", "--long-side", str(long_side))
    for name in KEPT:
        with _open(tmp_path / "web", name) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            expected = {"dog/wide.png": {340: (340, 102), 500: (400, 120)}[long_side], "cat/turned.jpg": (60, 80)}
            assert image.size == expected.get(name, (80, 60))


def test_images_show_what_a_browser_shows(source: Path, tmp_path: Path) -> None:
    _prepare(source, tmp_path / "web")
    logo = picture(5)
    logo.paste("white", (0, 0, 40, 60))
    shown = {
        "cat/a plain cat.jpg": picture(1),
        "cat/moving.gif": picture(3),
        "cat/logo.png": logo,
        "cat/photo.webp": picture(6),
        "cat/print.jpeg": picture(7),
        "cat/turned.jpg": picture(8).transpose(Image.Transpose.ROTATE_270),
        "tvmonitor/grey.bmp": ImageOps.grayscale(picture(40)).convert("RGB"),
    }
    for name, expected in shown.items():
        with _open(tmp_path / "web", name) as image:
            # Means over 4 x 4 px: JPEG keeps colours at half the resolution, GIF has 256 of them.
            difference = np.abs(np.asarray(image.reduce(4), int) - np.asarray(expected.reduce(4), int)).mean()
            assert difference < 8, name  # of two different pictures it is 25


def test_a_second_run_writes_no_image(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "web"
    _prepare(source, root)
    before, tables = _written(root), [(root / name).read_bytes() for name in ("tags.csv", "left_out.csv")]
    _prepare(source, root)
    after = _written(root)
    assert [name for name in before if name.endswith(".jpg") and before[name] != after[name]] == []
    assert before.keys() == after.keys()
    assert [(root / name).read_bytes() for name in ("tags.csv", "left_out.csv")] == tables


def test_a_run_that_was_ended_goes_on(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, take_in = tmp_path / "web", web._take_in

    def end_at_dogs(item: tuple[str, Path], *, source: Path, folder: Path, long_side: int) -> object:
        if item[0] == "dog":
            raise KeyboardInterrupt
        return take_in(item, source=source, folder=folder, long_side=long_side)

    with monkeypatch.context() as patch:
        patch.setattr(web, "_take_in", end_at_dogs)
        with pytest.raises(KeyboardInterrupt):
            web.prepare_web(source, root, names=tuple(NAMES), long_side=500, within=40, processes=1, progress=False)
    before = _written(root)
    assert before and all(re.fullmatch(r"cat_\d{12}\.jpg", name) for name in before), "no table, nothing half-written"
    _prepare(source, root)
    after = _written(root)
    assert sorted(_images(root)) == sorted(KEPT)
    assert all(after[name] == before[name] for name in before.keys() & after.keys())


def test_a_damaged_image_and_one_of_another_size_are_written_anew(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "web"
    _prepare(source, root)
    damaged = root / "JPEGImages" / _images(root)["dog/1.jpg"]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    before = _written(root)
    _prepare(source, root, "--long-side", "340")
    after = _written(root)
    changed = {name for name in before if name.endswith(".jpg") and before[name] != after[name]}
    assert changed == {damaged.name, _images(root)["dog/wide.png"]}
    assert damaged.read_bytes() == whole


def test_ids_depend_on_class_and_content_alone(source: Path, tmp_path: Path) -> None:
    _prepare(source, tmp_path / "first")
    first = _images(tmp_path / "first")
    picture(60).save(source / "cat" / "0 new.jpg")
    (source / "dog" / "wide.png").rename(source / "dog" / "renamed.png")
    shutil.move(source / "cat" / "photo.webp", source / "dog" / "photo.webp")
    _prepare(source, tmp_path / "second")
    second = _images(tmp_path / "second")
    assert second["dog/renamed.png"] == first["dog/wide.png"]
    assert second["dog/photo.webp"] == first["cat/photo.webp"].replace("cat", "dog")
    stayed = first.keys() & second.keys()
    assert len(stayed) == len(KEPT) - 2 and all(first[name] == second[name] for name in stayed)


def test_the_largest_of_near_duplicates_is_kept(source: Path, tmp_path: Path) -> None:
    picture(1, (120, 160)).save(source / "cat" / "z large.png")
    _prepare(source, tmp_path / "web")
    left_out = {row["file"]: row["detail"] for row in _rows(tmp_path / "web" / "left_out.csv")}
    assert left_out["cat/a plain cat.jpg"] == left_out["cat/small.jpg"] == "cat/z large.png"
    assert "cat/z large.png" in _images(tmp_path / "web")


@pytest.mark.parametrize(("option", "kept"), [("-1", len(KEPT) + 3 + 2), ("255", 0)])
def test_how_near_duplicates_are_is_an_option(source: Path, tmp_path: Path, option: str, kept: int) -> None:
    _prepare(source, tmp_path / "web", "--duplicates", option)
    reasons = [row["reason"] for row in _rows(tmp_path / "web" / "left_out.csv")]
    assert len(_images(tmp_path / "web")) == kept
    assert reasons.count("duplicate") == 1, "of the same content are two files, whatever the option"
    assert reasons.count("two classes") == {"-1": 0, "255": len(KEPT) + 3 + 2}[option]


def test_a_chain_of_likenesses_does_not_take_all_with_it() -> None:
    signs = np.ones((4, 255), np.int8)
    for row in range(4):
        signs[row, : 30 * row] = -1
    pictures = [web.WebImage("cat", f"cat/{row}.jpg", f"cat_{row}", 100 - row, signs[row]) for row in range(4)]
    found = web._sort_out(pictures, [], within=40)
    assert [picture.source for picture in found.kept] == ["cat/0.jpg", "cat/2.jpg"]
    assert {item.source: item.detail for item in found.left_out} == {
        "cat/1.jpg": "cat/0.jpg",
        "cat/3.jpg": "cat/2.jpg",
    }


def test_several_processes_write_the_same(source: Path, tmp_path: Path) -> None:
    _prepare(source, tmp_path / "one")
    _prepare(source, tmp_path / "two", "--processes", "2")
    for name in ("tags.csv", "left_out.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert _written(tmp_path / "one").keys() == _written(tmp_path / "two").keys()


def test_other_classes_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "crawl" / "red panda").mkdir(parents=True)
    picture(1).save(tmp_path / "crawl" / "red panda" / "1.jpg")
    _prepare(tmp_path / "crawl", tmp_path / "web", "--names", "koala, red panda")
    data = WebDataModule(root=tmp_path / "web", names=("koala", "red panda"))
    assert [record.tags.tolist() for record in data.records("train")] == [[False, True]]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
def test_a_file_name_need_not_be_utf8(tmp_path: Path) -> None:
    (tmp_path / "crawl" / "cat").mkdir(parents=True)
    picture(1).save(tmp_path / "crawl" / "cat" / os.fsdecode(b"K\xe4tzchen.jpg"), format="JPEG")
    _prepare(tmp_path / "crawl", tmp_path / "web")
    assert list(_images(tmp_path / "web")) == ["cat/K\\udce4tzchen.jpg"]


def _refused(source: Path, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.argv", ["wsss", "data", "prepare", "web", "--source", str(source), "--root", str(root)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out) == (1, "")
    assert captured.err.startswith("wsss: ") and captured.err.count("\n") == 1
    return captured.err


def test_unknown_folders_are_named(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "couch").mkdir()
    (source / "zebra").mkdir()
    sentence = _refused(source, tmp_path / "web", capsys, monkeypatch)
    assert "has the folders couch, zebra, but the classes are aeroplane, bicycle, " in sentence
    assert not (tmp_path / "web").exists()


@pytest.mark.parametrize(
    ("folder", "root", "message"),
    [
        ("nowhere", "web", "nowhere is no folder: set --source"),
        ("crawl", "crawl/cat/web", "lies in .*: set --root to another folder"),
        ("crawl", "crawl", "lies in .*: set --root to another folder"),
        ("without", "web", "has no file in a folder of a class"),
        ("hidden", "web", "has no file in a folder of a class"),
    ],
)
def test_a_source_without_images_is_refused(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    root: str,
    message: str,
) -> None:
    (tmp_path / "without" / "cat").mkdir(parents=True)
    (tmp_path / "hidden" / "cat").mkdir(parents=True)
    (tmp_path / "hidden" / "cat" / ".DS_Store").write_text("")
    assert re.search(message, _refused(tmp_path / folder, tmp_path / root, capsys, monkeypatch))
    assert not (tmp_path / root / "tags.csv").exists()


def test_a_source_with_damaged_files_alone_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crawl" / "cat").mkdir(parents=True)
    (tmp_path / "crawl" / "cat" / "page.jpg").write_text("<html>")
    assert "no file that can be decoded, cat/page.jpg for one" in _refused(
        tmp_path / "crawl", tmp_path / "web", capsys, monkeypatch
    )
    assert not (tmp_path / "web").exists()
