import csv
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_yto import FRAME, OTHER, box, write_annotations, write_shots, write_video, write_yto
from joblib import parallel_config
from PIL import Image
from typer.testing import CliRunner

from wsss_lightning.cli import app, main
from wsss_lightning.data.images import image_size, read_image
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.prepare.videos import count_frames, read_frames
from wsss_lightning.data.prepare.yto import PreparedYto, prepare_yto, read_binary_mask
from wsss_lightning.data.prepare.yto_frames import uniform
from wsss_lightning.data.yto import YTO_CLASSES, YTODataModule, frame_id
from wsss_lightning.errors import InputError

Break = Callable[[Path], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_yto(tmp_path)
    return tmp_path


def prepare(root: Path, **options: object) -> PreparedYto:
    return prepare_yto(root, progress=False, **options)  # type: ignore[arg-type]


def rows(root: Path, split: str | None = None) -> list[dict[str, str]]:
    with (root / "manifest.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if split in (None, row["split"])]


def ids(root: Path, split: str) -> list[str]:
    return [frame_id(row) for row in rows(root, split)]


def test_all_frames_but_those_of_evaluated_shots_are_trained_on(root: Path) -> None:
    summary = prepare(root)
    assert ids(root, "train") == [
        *(f"aeroplane_0001_001_{n:05d}" for n in range(1, 7)),
        *(f"aeroplane_0002_001_{n:05d}" for n in range(1, 6)),
        *(f"cat_0001_001_{n:05d}" for n in range(1, 4)),
        *(f"dog_0001_000_{n:05d}" for n in range(1, 13)),
        *(f"horse_0002_0002_{n:05d}" for n in range(5, 8)),
        *(f"horse_0002_0003_{n:05d}" for n in range(8, 10)),  # 7 stands in both ranges
    ]
    assert ids(root, "val") == [
        *("aeroplane_0001_002_00001", "aeroplane_0001_002_00003"),
        *("dog_0002_003_00001", "horse_0001_001_00002"),
    ]
    # Release 1 knows the evaluated shot (4 frames); elsewhere only its video is known (10 and 4 frames).
    left_out = {"aeroplane": 4, "dog": 10, "horse": 4}
    assert summary.left_out == dict.fromkeys(YTO_CLASSES, 0) | left_out
    assert summary.train == {"aeroplane": 11, "cat": 3, "dog": 12, "horse": 5}
    assert summary.val == {"aeroplane": 2, "dog": 1, "horse": 1}
    assert summary.lost == []


def test_some_frames_of_each_class_lie_uniformly_over_its_shots(root: Path) -> None:
    prepare(root, frames_per_class=4)
    assert Counter(row["class"] for row in rows(root, "train")) == {"aeroplane": 4, "cat": 3, "dog": 4, "horse": 4}
    assert ids(root, "train")[7:11] == [f"dog_0001_000_{n:05d}" for n in (2, 5, 8, 11)]
    # Of 11 frames, 6 of one shot and 5 of the other.
    expected = ["0001_001_00002", "0001_001_00005", "0002_001_00001", "0002_001_00004"]
    assert ids(root, "train")[:4] == [f"aeroplane_{frame}" for frame in expected]
    assert len(ids(root, "val")) == 4


@pytest.mark.parametrize(("count", "wanted"), [(70_001, 2200), (12, 4), (11, 4), (5, 5), (3, 9), (1, 1), (0, 3)])
def test_uniform_positions_stand_in_the_middle_of_equal_parts(count: int, wanted: int) -> None:
    found = uniform(count, wanted)
    assert len(found) == len(set(found)) == min(count, wanted)
    ends = np.linspace(0, count, len(found) + 1)
    assert all(a <= i < b for i, a, b in zip(found, ends[:-1], ends[1:], strict=True))
    assert all(abs(gap - count / len(found)) < 1 for gap in np.diff(found))


def test_frames_of_a_video_are_those_of_their_numbers_and_no_others_are_written(root: Path) -> None:
    prepare(root, frames_per_class=4)
    written = sorted((root / "JPEGImages").iterdir())
    assert [path.stem for path in written] == [f"dog_0001_000_{n:05d}" for n in (2, 5, 8, 11)]
    for path, number in zip(written, (2, 5, 8, 11), strict=True):
        assert image_size(path) == FRAME
        assert abs(read_image(path).mean() - 10 * number) < 3


def test_a_video_is_counted_and_read_from_one_and_no_further_than_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    write_video(path, 7)
    assert count_frames(path) == 7
    assert [number for number, _ in read_frames(path, [9, 7, 1])] == [1, 7]
    assert [number for number, _ in read_frames(path, [])] == []
    for number, pixels in read_frames(path, [3, 4]):
        assert pixels.shape == (*FRAME, 3) and abs(pixels.mean() - 10 * number) < 3


def test_colours_of_a_video_are_red_green_and_blue(tmp_path: Path) -> None:
    path = tmp_path / "red.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, FRAME[::-1])
    writer.write(np.full((*FRAME, 3), (0, 0, 200), np.uint8))  # OpenCV's order is blue, green, red
    writer.release()
    ((_, pixels),) = read_frames(path, [1])
    assert np.abs(pixels.mean((0, 1)) - (200, 0, 0)).max() < 5


def test_a_video_that_ends_early_loses_its_frames_and_says_so(root: Path) -> None:
    path = root / "dog" / "0001.avi"
    path.write_bytes(path.read_bytes()[: 9 * path.stat().st_size // 10])
    summary = prepare(root)
    there = [frame for frame in ids(root, "train") if frame.startswith("dog")]
    assert there and summary.lost
    assert [*there, *summary.lost] == [f"dog_0001_000_{n:05d}" for n in range(1, 1 + len(there) + len(summary.lost))]


def test_masks_have_the_index_of_the_class_and_the_size_of_their_frame(root: Path) -> None:
    prepare(root)
    data = YTODataModule(root=root)
    for record, number in zip(data.records("val"), (1, 3, 1, 2), strict=True):
        index = data.labels.names.index(record.image_id.split("_")[0]) + 1
        assert np.array_equal(data.read_target(record), index * box(number))
    assert {row["size"] for row in rows(root, "val")} == {row["mask_size"] for row in rows(root, "val")} == {"48x36"}


def test_a_mask_without_its_frame_takes_the_size_of_release_1(tmp_path: Path) -> None:
    write_yto(tmp_path, images=False)
    assert prepare(tmp_path).stretched == 2
    for row, number in zip(rows(tmp_path, "val"), (1, 3), strict=True):
        assert row["image"] == f"aeroplane/data/0001/shots/002/frame{number:04d}.jpg"
        assert (row["size"], row["frame_size"], row["mask_size"]) == ("86x48", "86x48", "48x36")
        expected = np.zeros((48, 86), np.uint8)
        for y, x in np.ndindex(48, 86):  # the old pixel in which the new one has its centre
            expected[y, x] = box(number)[int((y + 0.5) * 36 / 48), int((x + 0.5) * 48 / 86)]
        assert np.array_equal(read_mask(tmp_path / row["mask"]), expected)


def test_a_size_is_that_of_all_frames_and_masks_and_what_was_stays_in_the_manifest(root: Path) -> None:
    summary = prepare(root, size=(18, 24))
    for row in rows(root):
        assert row["size"] == "24x18" and image_size(root / row["image"]) == (18, 24)
        assert row["frame_size"] == ("86x48" if row["split"] == "train" else "48x36")
        assert not row["mask"] or read_mask(root / row["mask"]).shape == (18, 24)
        assert abs(read_image(root / row["image"]).mean() - 10 * int(row["frame"])) < 3
    assert summary.stretched == len(rows(root, "train"))  # 16:9 to 4:3; val keeps its ratio
    assert len(list((root / "JPEGImages").iterdir())) == len(rows(root))


def test_frames_of_the_wanted_size_are_used_where_they_lie(root: Path) -> None:
    prepare(root, size=FRAME)
    places = {row["class"]: row["image"].split("/")[0] for row in rows(root, "train")}
    assert places == {"aeroplane": "aeroplane", "cat": "cat", "dog": "JPEGImages", "horse": "horse"}


def test_a_second_call_writes_no_frame_twice_and_restores_what_is_missing(root: Path) -> None:
    prepare(root)
    images = sorted((root / "JPEGImages").iterdir())
    before = {path: path.stat().st_mtime_ns for path in images}
    manifest = (root / "manifest.csv").read_bytes()
    images[3].unlink()
    prepare(root)
    after = {path: path.stat().st_mtime_ns for path in sorted((root / "JPEGImages").iterdir())}
    assert after.keys() == before.keys() and (root / "manifest.csv").read_bytes() == manifest
    assert {path for path in images if after[path] != before[path]} == {images[3]}


def test_another_size_is_not_answered_with_the_frames_of_the_first(root: Path) -> None:
    for size in ((18, 24), None, (12, 16)):
        prepare(root, size=size)
        assert {image_size(root / row["image"]) for row in rows(root, "train")} == {size or FRAME}


def test_no_result_depends_on_how_many_files_are_worked_on_at_once(root: Path) -> None:
    prepare(root, size=(18, 24))
    manifest = (root / "manifest.csv").read_bytes()
    shutil.rmtree(root / "JPEGImages")
    with parallel_config(backend="threading"):
        prepare(root, size=(18, 24), processes=4)
    assert (root / "manifest.csv").read_bytes() == manifest


def test_frames_may_lie_one_level_deeper(tmp_path: Path) -> None:
    write_shots(tmp_path / "v1" / "Cat", {("0001", "001"): 3, ("0002", "001"): 3})
    write_annotations(tmp_path, "cat", "0001", "001", [2], images=False)
    prepare(tmp_path)
    assert rows(tmp_path, "val")[0]["image"] == "v1/Cat/data/0001/shots/001/frame0002.jpg"
    assert ids(tmp_path, "train") == [f"cat_0002_001_0000{n}" for n in (1, 2, 3)]


def test_leading_zeros_make_no_other_shot(tmp_path: Path) -> None:
    write_shots(tmp_path / "cat", {("0001", "002"): 3, ("0010", "001"): 2})
    write_annotations(tmp_path, "cat", "1", "02", [2], images=False)
    prepare(tmp_path)
    assert ids(tmp_path, "train") == ["cat_0010_001_00001", "cat_0010_001_00002"]


def test_names_of_videos_become_names_of_files(tmp_path: Path) -> None:
    write_video(tmp_path / "cat" / "videos" / "0001 (copy).avi", 2)
    write_video(tmp_path / "cat" / "0002.avi", 2)
    write_annotations(tmp_path, "cat", "0002", "001", [1], images=True)
    prepare(tmp_path)
    assert ids(tmp_path, "train") == ["cat_0001-copy-_000_00001", "cat_0001-copy-_000_00002"]
    assert all((tmp_path / "JPEGImages" / f"{name}.jpg").is_file() for name in ids(tmp_path, "train"))


@pytest.mark.parametrize("value", [1, 255])
@pytest.mark.parametrize("mode", ["L", "P", "RGB", "1"])
def test_binary_pngs_are_read_in_every_mode(tmp_path: Path, mode: str, value: int) -> None:
    picture = Image.fromarray(box(1) * np.uint8(value))
    if mode == "P":
        picture.putpalette([0, 0, 0, 128, 0, 0])
    elif mode == "1":
        picture = Image.fromarray(box(1) > 0)
    else:
        picture = picture.convert(mode)
    picture.save(tmp_path / "mask.png")
    assert np.array_equal(read_binary_mask(tmp_path / "mask.png"), box(1) > 0)


def test_a_jpeg_mask_is_cut_at_half(tmp_path: Path) -> None:
    mask = np.zeros(OTHER, np.uint8)
    mask[5:20, 7:30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.jpg", quality=90)
    assert len(np.unique(np.array(Image.open(tmp_path / "mask.jpg")))) > 2
    assert np.array_equal(read_binary_mask(tmp_path / "mask.jpg"), mask > 0)
    Image.fromarray(0 * mask).save(tmp_path / "mask.jpg")
    assert not read_binary_mask(tmp_path / "mask.jpg").any()


def test_masks_of_several_objects_and_jpegs_of_zero_and_one_are_refused(tmp_path: Path) -> None:
    Image.fromarray(box(1) * np.uint8(38)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png has values up to 38"):
        read_binary_mask(tmp_path / "mask.png")
    Image.fromarray(box(1) * np.uint8(2)).save(tmp_path / "mask.jpg", quality=100)
    with pytest.raises(InputError, match=r"mask\.jpg has values up to 2"):
        read_binary_mask(tmp_path / "mask.jpg")


def no_classes(root: Path) -> None:
    for name in ("aeroplane", "cat", "horse", "dog"):
        shutil.rmtree(root / name)


def damaged_ranges(root: Path) -> None:
    (root / "Ranges" / "ranges_horse.mat").write_bytes(b"no matrix")


def own_video_names(root: Path) -> None:
    for number, path in enumerate(sorted((root / "dog").iterdir())):
        path.rename(path.with_stem("abc"[number]))


def no_frame(root: Path) -> None:
    shutil.rmtree(root / "youtube_masks" / "dog" / "data" / "0002" / "shots" / "003" / "images")


def unknown_class(root: Path) -> None:
    (root / "youtube_masks" / "dog").rename(root / "youtube_masks" / "wolf")


def truncated_frame(root: Path) -> None:
    (root / "cat" / "data" / "0001" / "shots" / "001" / "frame0002.jpg").write_bytes(b"")


FAULTS: list[tuple[Break, str]] = [
    (no_classes, r"has no folder of a class.*unpack YouTube-Objects"),
    (lambda root: shutil.rmtree(root / "youtube_masks"), r"youtube_masks has no masks"),
    (lambda root: (root / "bird").mkdir(), r"bird holds no frames"),
    (lambda root: (root / "Ranges" / "ranges_horse.mat").unlink(), r"ranges_horse\.mat does not exist"),
    (damaged_ranges, r"ranges_horse\.mat is no table"),
    (own_video_names, r"dog has the video a, but no evaluated one such as 0002"),
    (no_frame, r"00001\.jpg has no frame"),
    (unknown_class, r"wolf is none of the classes"),
    (truncated_frame, r"frame0002\.jpg cannot be decoded"),
    (lambda root: (root / "dog" / "0001.avi").write_text("no video"), r"0001\.avi cannot be opened"),
    (lambda root: (root / "airplane").mkdir(), r"airplane and .*aeroplane|aeroplane and .*airplane"),
    (lambda root: write_video(root / "dog" / "videos" / "0001.avi", 2), r"2 frames would have the id dog_0001_000_"),
]


@pytest.mark.parametrize(("fault", "message"), FAULTS)
def test_a_fault_is_named_and_no_manifest_is_written(root: Path, fault: Break, message: str) -> None:
    fault(root)
    with pytest.raises(InputError, match=message) as error:
        prepare(root)
    assert str(error.value).endswith(".") and str(error.value).count(". ") == 0
    assert not (root / "manifest.csv").exists() and not list(root.rglob(".*"))


def test_the_command_prints_counts_beside_the_papers(root: Path) -> None:
    arguments = ["data", "prepare", "yto", "--root", str(root), "--frames-per-class", "4", "--size", "24x18"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    lines = [line.replace("│", " ").replace("┃", " ").split() for line in done.output.splitlines()]
    assert ["dog", "4", "1", "10"] in lines and ["bird", "0", "0", "0"] in lines and ["all", "15", "4", "18"] in lines
    assert "paper: about 2,200" in done.output and "15 frames or masks had another aspect ratio" in done.output
    assert YTODataModule(root=root, size=(8, 8)).dataset("val", with_masks=True)[0]["mask"].max() == 1


@pytest.mark.parametrize(("size", "word"), [("big", "--size big is no"), ("0x5", "--size 0x5"), ("keep", "no masks")])
def test_bad_input_is_one_sentence(
    tmp_path: Path, size: str, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shots(tmp_path / "cat", {("0001", "001"): 1})
    monkeypatch.setattr("sys.argv", ["wsss", "data", "prepare", "yto", "--root", str(tmp_path), "--size", size])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 1 and printed.out == ""
    assert printed.err.startswith("wsss: ") and word in printed.err and printed.err.count("\n") == 1


def test_the_fake_is_laid_out_as_delivered(root: Path) -> None:
    assert (root / "aeroplane/data/0001/shots/002/frame0004.jpg").is_file()
    assert (root / "youtube_masks/airplane/data/0001/shots/002/labels/00003.png").is_file()
    assert (root / "horse/00000009.jpg").is_file() and (root / "Ranges/ranges_horse.mat").is_file()
