import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss_lightning.data.masks import palette, write_mask
from wsss_lightning.errors import InputError
from wsss_lightning.scoring.predictions import find_predictions
from wsss_lightning.scoring.submission import Fault, Submission, check_submission, pack_submission

IDS = ("2008_000003", "2008_000001", "2008_000002")
TREE = "results/VOC2012/Segmentation/comp6_test_cls"
SIZE = (5, 7)


@pytest.fixture
def expected(tmp_path: Path) -> Submission:
    (tmp_path / "images").mkdir()
    for image_id in IDS:
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "images" / f"{image_id}.jpg")
    return Submission(IDS, tmp_path / "images", "comp6")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, image_id in enumerate(IDS):
        write_mask(tmp_path / "masks" / f"{image_id}.png", _mask(number))
    return tmp_path / "masks"


def _mask(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 21, SIZE, np.uint8)


def _pack(folder: Path, out: Path, expected: Submission) -> list[Fault]:
    return pack_submission(find_predictions(folder, expected.ids), out, expected, processes=1)


def _members(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path, "r:gz") as archive:
        return [(member, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]


def _tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def test_the_archive_holds_the_servers_tree_of_palette_pngs(folder: Path, tmp_path: Path, expected: Submission) -> None:
    assert _pack(folder, tmp_path / "out.tgz", expected) == []
    members = _members(tmp_path / "out.tgz")
    assert [member.name for member, _ in members] == [f"{TREE}/{image_id}.png" for image_id in sorted(IDS)]
    for member, content in members:
        picture = Image.open(io.BytesIO(content))
        assert (picture.mode, picture.format) == ("P", "PNG")
        assert picture.getpalette() == palette().ravel().tolist()
        assert np.array_equal(np.array(picture), _mask(IDS.index(Path(member.name).stem)))
    assert check_submission(tmp_path / "out.tgz", expected, processes=1) == []


def test_the_same_masks_give_the_same_bytes(folder: Path, tmp_path: Path, expected: Submission) -> None:
    _pack(folder, tmp_path / "a.tgz", expected)
    for path in folder.iterdir():
        os.utime(path, (0, 1e9))
        path.chmod(0o600)
    other = Submission(IDS[::-1], expected.images, "comp6")
    _pack(folder, tmp_path / "another name.tar.gz", other)
    assert (tmp_path / "a.tgz").read_bytes() == (tmp_path / "another name.tar.gz").read_bytes()
    assert all((member.mtime, member.uid, member.uname) == (0, 0, "") for member, _ in _members(tmp_path / "a.tgz"))


def test_greyscale_indices_and_other_palettes_get_vocs(folder: Path, tmp_path: Path, expected: Submission) -> None:
    Image.fromarray(_mask(0)).save(folder / f"{IDS[0]}.png")
    other = Image.fromarray(_mask(1))
    other.putpalette([9, 8, 7] * 21)
    other.save(folder / f"{IDS[1]}.png")
    assert _pack(folder, tmp_path / "out.tgz", expected) == []
    contents = {Path(member.name).stem: content for member, content in _members(tmp_path / "out.tgz")}
    for number in (0, 1):
        picture = Image.open(io.BytesIO(contents[IDS[number]]))
        assert picture.mode == "P" and picture.getpalette() == palette().ravel().tolist()
        assert np.array_equal(np.array(picture), _mask(number))


def test_comp5_has_a_folder_of_its_own(folder: Path, tmp_path: Path) -> None:
    _pack(folder, tmp_path / "out.tgz", Submission(IDS, None, "comp5"))
    assert _members(tmp_path / "out.tgz")[0][0].name.startswith("results/VOC2012/Segmentation/comp5_test_cls/")


def missing(path: Path) -> str:
    path.unlink()
    return "is missing"


def colours(path: Path) -> str:
    Image.new("RGB", SIZE[::-1]).save(path)
    return "holds colours (RGB)"


def truncated(path: Path) -> str:
    path.write_bytes(path.read_bytes()[:60])
    return "cannot be decoded"


def ignored(path: Path) -> str:
    write_mask(path, np.full(SIZE, 255, np.uint8))
    return "holds 255 (ignore)"


def another_index(path: Path) -> str:
    write_mask(path, np.full(SIZE, 21, np.uint8))
    return "holds an index above 20"


def resized(path: Path) -> str:
    write_mask(path, np.zeros(SIZE[::-1], np.uint8))
    return "has another size"


FAULTS = [missing, colours, truncated, ignored, another_index, resized]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_told_and_the_old_archive_stays(
    fault: Callable[[Path], str], folder: Path, tmp_path: Path, expected: Submission
) -> None:
    out = tmp_path / "out.tgz"
    out.write_bytes(b"old")
    reason = fault(folder / f"{IDS[1]}.png")
    (found,) = _pack(folder, out, expected)
    assert found.reason.startswith(reason) and found.file.startswith(f"{IDS[1]}.png")
    assert out.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"images", "masks", "out.tgz"}


def test_all_faults_are_told_at_once(folder: Path, tmp_path: Path, expected: Submission) -> None:
    reasons = [fault(folder / f"{image_id}.png") for fault, image_id in zip(FAULTS, IDS, strict=False)]
    found = _pack(folder, tmp_path / "out.tgz", expected)
    assert all(any(fault.reason.startswith(reason) for fault in found) for reason in reasons) and len(found) == 3


def test_sizes_are_unknown_where_the_photographs_are_not_at_hand(folder: Path, tmp_path: Path) -> None:
    resized(folder / f"{IDS[1]}.png")
    assert _pack(folder, tmp_path / "out.tgz", Submission(IDS, None, "comp6")) == []


def test_another_suffix_and_cams_are_refused(folder: Path, tmp_path: Path, expected: Submission) -> None:
    with pytest.raises(InputError, match=r"out\.zip .* ends in \.tgz"):
        _pack(folder, tmp_path / "out.zip", expected)
    (tmp_path / "cams").mkdir()
    (tmp_path / "cams" / f"{IDS[0]}.npy").touch()
    with pytest.raises(InputError, match="cams holds CAMs"):
        _pack(tmp_path / "cams", tmp_path / "out.tgz", expected)


def test_check_tells_what_the_server_would_not_take(tmp_path: Path, expected: Submission) -> None:
    right = Image.fromarray(_mask(0))
    right.putpalette(palette().tobytes())
    adaptive = Image.fromarray(_mask(1))
    adaptive.putpalette([9, 8, 7] * 21)
    files = {
        f"{TREE}/{IDS[0]}.png": _png(adaptive),
        f"./{TREE}/{IDS[1]}.png": _png(Image.fromarray(_mask(1))),
        f"{TREE}/2009_000001.png": _png(right),
        f"results/VOC2012/Segmentation/comp5_test_cls/{IDS[2]}.png": _png(right),
        f"../{TREE}/{IDS[2]}.png": _png(right),
    }
    found = check_submission(_tar(tmp_path / "out.tgz", files), expected, processes=1)
    elsewhere = f"is not one of {TREE}/<id of the list>.png"
    assert [(fault.reason, fault.file) for fault in found] == [
        ("has not VOC's palette (mode P)", f"{IDS[1]}.png"),
        ("has not VOC's palette (mode P)", f"{IDS[0]}.png"),
        ("is missing", f"{IDS[2]}.png"),
        (elsewhere, f"../{TREE}/{IDS[2]}.png"),
        (elsewhere, f"results/VOC2012/Segmentation/comp5_test_cls/{IDS[2]}.png"),
        (elsewhere, f"{TREE}/2009_000001.png"),
    ]


def test_check_opens_no_link_and_takes_no_file_twice(folder: Path, tmp_path: Path, expected: Submission) -> None:
    with tarfile.open(tmp_path / "out.tgz", "w:gz") as archive:
        archive.add(folder, TREE)  # with its folders, as tar does it
        archive.add(folder / f"{IDS[0]}.png", f"{TREE}/{IDS[0]}.png")
        link = tarfile.TarInfo(f"{TREE}/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, f"{IDS[0]}.png"
        archive.addfile(link)
    found = check_submission(tmp_path / "out.tgz", expected, processes=1)
    assert [(fault.reason[:18], fault.file) for fault in found] == [
        ("is not one of resu", f"{TREE}/link.png"),
        ("is there twice", f"{IDS[0]}.png"),
    ]


@pytest.mark.parametrize(
    "content",
    [b"", b"nothing of the kind", gzip.compress(b"no tar"), None],
    ids=["empty", "no archive", "no tar in it", "missing"],
)
def test_check_refuses_what_is_no_archive(tmp_path: Path, expected: Submission, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "out.tgz").write_bytes(content)
    with pytest.raises(InputError, match=r"out\.tgz cannot be read as a gzipped tar archive"):
        check_submission(tmp_path / "out.tgz", expected, processes=1)


def test_check_refuses_a_truncated_archive(folder: Path, tmp_path: Path, expected: Submission) -> None:
    _pack(folder, tmp_path / "out.tgz", expected)
    content = (tmp_path / "out.tgz").read_bytes()
    (tmp_path / "out.tgz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"out\.tgz cannot be read"):
        check_submission(tmp_path / "out.tgz", expected, processes=1)
