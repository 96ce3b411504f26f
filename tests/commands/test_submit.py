import tarfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from fake_data import write_voc
from PIL import Image
from typer.testing import CliRunner

from wsss_lightning.cli import app, main
from wsss_lightning.data.masks import write_mask
from wsss_lightning.errors import InputError

TEST = ("2008_000011", "2008_000012")
SIZE = (24, 32)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    root = tmp_path / "VOC2012"
    write_voc(root)
    for image_id in TEST:
        Image.new("RGB", SIZE[::-1]).save(root / "JPEGImages" / f"{image_id}.jpg")
    (root / "ImageSets" / "Segmentation" / "test.txt").write_text("\n".join(TEST))
    return root


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    for number, image_id in enumerate(TEST):
        write_mask(tmp_path / "masks" / f"{image_id}.png", np.full(SIZE, number, np.uint8))
    return tmp_path / "masks"


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["submit", *map(str, arguments), "--processes", "1"])


def _names(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return archive.getnames()


def test_the_test_list_of_the_data_set_is_packed_and_found_in_order(voc: Path, masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tgz"
    done = _run(masks, out, "--root", voc)
    assert done.exit_code == 0, done.exception
    assert _names(out) == [f"results/VOC2012/Segmentation/comp6_test_cls/{image_id}.png" for image_id in TEST]
    assert f"written to {out}: 2 PNGs" in done.stdout and "not checked" not in done.stdout
    assert "The list has 2 images, VOC 2012's test list 1,456." in done.stdout
    checked = _run("--check", out, "--root", voc)
    assert checked.exit_code == 0 and f"{out}: 2 PNGs in results" in checked.stdout


def test_a_list_and_a_competition_may_be_given(masks: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text(TEST[1])
    done = _run(masks, tmp_path / "out.tgz", "--list", tmp_path / "ids.txt", "--comp", "comp5")
    assert done.exit_code == 0, done.exception
    assert _names(tmp_path / "out.tgz") == [f"results/VOC2012/Segmentation/comp5_test_cls/{TEST[1]}.png"]
    assert f"not used, 1 in all: {TEST[0]}.png" in done.stdout
    assert "The sizes of 1 are not checked: their photographs are not at hand (--root)." in done.stdout
    wrong = _run("--check", tmp_path / "out.tgz", "--list", tmp_path / "ids.txt")
    assert isinstance(wrong.exception, InputError) and "is missing" in wrong.stdout


def test_faults_are_a_table_and_one_sentence(
    voc: Path, masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mask(masks / f"{TEST[0]}.png", np.full(SIZE, 255, np.uint8))
    (masks / f"{TEST[1]}.png").rename(masks / "other.png")
    arguments = ["submit", str(masks), str(tmp_path / "out.tgz"), "--root", str(voc), "--processes", "1"]
    monkeypatch.setattr("sys.argv", ["wsss", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    assert stop.value.code == 1 and captured.err.count("\n") == 1
    assert captured.err.startswith(f"wsss: {tmp_path / 'out.tgz'} is not written, 2 files are at fault")
    assert all(word in captured.out for word in ("is missing", f"{TEST[1]}.png", "holds 255", f"{TEST[0]}.png"))
    assert "other.png" in captured.out and "Traceback" not in captured.err
    assert not list(tmp_path.glob("*.tgz")) and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("arguments", [(), ("masks",), ("masks", "out.tgz", "--check", "other.tgz")])
def test_either_pack_or_check(arguments: tuple[str, ...]) -> None:
    assert _run(*arguments).exit_code == 2


def test_a_root_without_a_test_list_says_where_it_looked(voc: Path, masks: Path, tmp_path: Path) -> None:
    (voc / "ImageSets" / "Segmentation" / "test.txt").unlink()
    with pytest.raises(InputError, match="no list of 'test'"):
        raise _run(masks, tmp_path / "out.tgz", "--root", voc).exception or AssertionError
