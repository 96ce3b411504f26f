import csv
import itertools
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_imagenet import (
    CLASSES,
    CMYK,
    CORRUPT,
    GREY,
    IN_ARCHIVE,
    IS_A,
    MISNAMED,
    write_archive,
    write_image,
    write_imagenet,
    write_synsets,
)
from joblib import parallel_config
from typer.testing import CliRunner

from wsss_lightning.cli import app, main
from wsss_lightning.data.prepare import imagenet_classes
from wsss_lightning.data.prepare.imagenet import SUBTREES, Count, PreparedImagenet, is_held_out, prepare_imagenet
from wsss_lightning.data.prepare.synsets import below, read_synsets, read_tree
from wsss_lightning.errors import InputError

Change = Callable[[Path], object]
CATS, DOGS = ("n02121620", "n02123045", "n02127052"), ("n02084071", "n02113624")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_imagenet(tmp_path / "imagenet")
    return tmp_path / "imagenet"


def prepare(root: Path, *, held_out: float = 0.0, is_a: Path | None = None, processes: int = 1) -> PreparedImagenet:
    return prepare_imagenet(root, held_out=held_out, is_a=is_a, processes=processes, progress=False)


def rows(root: Path, name: str = "train") -> list[list[str]]:
    with (root / f"{name}.csv").open(newline="") as file:
        return list(csv.reader(file))[1:]


def decoded_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are decoded from now on."""
    seen: list[str] = []
    read = imagenet_classes.read_image
    monkeypatch.setattr(imagenet_classes, "read_image", lambda path: (seen.append(path.name), read(path))[1])
    return seen


def test_the_lists_have_every_image_once_with_the_tags_of_its_subtree(root: Path) -> None:
    prepare(root)
    names = {f"{synset}_{number}" for synset, numbers in CLASSES.items() for number in numbers} - {Path(CORRUPT).stem}
    expected = sorted(
        [name, f"{name[:9]}/{name}.JPEG", str(int(name[:9] in CATS)), str(int(name[:9] in DOGS))] for name in names
    )
    assert sorted(rows(root)) == expected
    assert (root / "train.csv").read_text().startswith("image_id,image,cat,dog\n")
    assert (root / "held_out.csv").read_text() == "image_id,image,cat,dog\n"


def test_the_counts_are_of_synsets_with_images_and_of_images(root: Path) -> None:
    done = prepare(root)
    # Without the synset at the top, whose images count: tabby, lynx; toy poodle; wolf, leopard, chair.
    assert done.counts == {"cat": Count(2, 6), "dog": Count(1, 3), "background": Count(3, 5)}
    assert done.lists == {"train": 14, "held_out": 0}
    assert done.incomplete == ["cat", "dog"]


def test_the_known_counts_are_the_papers() -> None:
    assert [(tree.name, tree.synset, tree.sub_classes, tree.images) for tree in SUBTREES] == [
        ("cat", "n02121620", 30, 37_345),
        ("dog", "n02084071", 164, 187_775),
    ]


def test_as_many_sub_classes_as_in_the_paper_are_not_a_part() -> None:
    full = {tree.name: Count(tree.sub_classes, tree.images) for tree in SUBTREES}
    assert PreparedImagenet(full, {}, {}).incomplete == []
    assert PreparedImagenet(full | {"dog": Count(118, 147_873)}, {}, {}).incomplete == ["dog"]


def test_whatever_decodes_is_kept_and_what_does_not_is_reported(root: Path) -> None:
    done = prepare(root)
    listed = {image for _, image, *_ in rows(root)}
    assert {CMYK, MISNAMED, GREY} <= listed
    assert done.left_out.keys() == {CORRUPT}
    ((image, reason),) = rows(root, "left_out")
    assert image == CORRUPT and reason.startswith("cannot be decoded (") and str(root) not in reason


def test_an_image_in_the_folder_of_another_class_does_not_count_again(root: Path) -> None:
    write_image(root / "n02114100" / "n02123045_3.JPEG", 3)
    done = prepare(root)
    assert done.left_out["n02114100/n02123045_3.JPEG"] == "is not named after its class"
    assert Counter(image_id for image_id, *_ in rows(root))["n02123045_3"] == 1


def test_of_two_files_with_one_id_the_first_stays(root: Path) -> None:
    write_image(root / "n02123045" / "n02123045_3.jpg", 3)
    done = prepare(root)
    assert done.left_out["n02123045/n02123045_3.jpg"] == "has the id of n02123045_3.JPEG"
    assert done.lists["train"] == 14


def test_other_files_are_not_images(root: Path) -> None:
    for name in (".DS_Store", "._n02123045_3.JPEG", "Thumbs.db", "n02123045_boxes.txt"):
        (root / "n02123045" / name).write_bytes(b"x")
    assert prepare(root).left_out.keys() == {CORRUPT}


def test_a_link_whose_file_is_gone_is_reported(root: Path) -> None:
    (root / "n02123045" / "n02123045_9.JPEG").symlink_to(root / "gone.JPEG")
    assert prepare(root).left_out["n02123045/n02123045_9.JPEG"].startswith("does not exist")


@pytest.mark.parametrize("place", ["train", "Data/CLS-LOC/train", "ILSVRC/Data/CLS-LOC/train"])
def test_the_layouts_of_ilsvrc_are_found_beside_their_val_folder(tmp_path: Path, place: str) -> None:
    write_imagenet(tmp_path, place=place)
    write_image((tmp_path / place).parent / "val" / "ILSVRC2012_val_00000001.JPEG", 1)
    assert prepare(tmp_path).lists == {"train": 14, "held_out": 0}
    assert all(image.startswith(f"{place}/{image_id[:9]}/") for image_id, image, *_ in rows(tmp_path))


@pytest.mark.parametrize("inside", ["", IN_ARCHIVE])
def test_a_class_archive_is_unpacked_once_and_kept(root: Path, inside: str) -> None:
    prepare(root)
    (root / f"{IN_ARCHIVE}.tar").unlink()
    write_archive(root / IN_ARCHIVE, inside=inside)
    prepare(root)
    assert sorted(path.name for path in (root / IN_ARCHIVE).iterdir()) == ["n02113624_5.JPEG", "n02113624_6.JPEG"]
    (root / f"{IN_ARCHIVE}.tar").write_bytes(b"no longer read")
    assert prepare(root).counts["dog"] == Count(1, 3)


def test_a_damaged_archive_is_one_sentence_and_no_list_is_written(root: Path) -> None:
    (root / f"{IN_ARCHIVE}.tar").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"n02113624\.tar cannot be unpacked"):
        prepare(root)
    assert not list(root.glob("*.csv")) and not (root / IN_ARCHIVE).exists()


def test_a_second_run_decodes_only_what_is_new_changed_or_did_not_decode(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = decoded_files(monkeypatch)
    prepare(root)
    assert len(seen) == 15
    first = (root / "train.csv").read_bytes()
    seen.clear()
    prepare(root)
    assert seen == [Path(CORRUPT).name] and (root / "train.csv").read_bytes() == first
    seen.clear()
    write_image(root / CORRUPT, 13)
    write_image(root / "n02123045" / "n02123045_99.JPEG", 99)
    write_image(root / CMYK, 7)
    assert prepare(root).lists == {"train": 16, "held_out": 0}
    assert sorted(seen) == sorted([Path(CORRUPT).name, "n02123045_99.JPEG", Path(CMYK).name])


def test_a_run_that_was_ended_goes_on_behind_the_classes_that_it_has_done(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, calls = imagenet_classes.read_image, itertools.count(1)

    def until_the_tenth(path: Path) -> object:
        if next(calls) == 10:
            raise KeyboardInterrupt
        return read(path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(imagenet_classes, "read_image", until_the_tenth)
        prepare(root)
    assert not list(root.glob("*.csv"))
    done = sum(len(path.read_text().splitlines()) for path in (root / ".decoded").iterdir())
    seen = decoded_files(monkeypatch)
    prepare(root)
    assert 0 < done < 10 and len(seen) == 15 - done
    assert len(rows(root)) == 14


def test_the_number_of_processes_changes_nothing(root: Path) -> None:
    prepare(root, held_out=0.3)
    files = {path.name: path.read_bytes() for path in root.glob("*.csv")}
    for name in files:
        (root / name).unlink()
    with parallel_config(backend="threading"):
        prepare(root, held_out=0.3, processes=3)
    assert {path.name: path.read_bytes() for path in root.glob("*.csv")} == files


def test_the_held_out_images_are_some_of_all_and_stay_held_out(root: Path) -> None:
    prepare(root)
    everything = rows(root)
    prepare(root, held_out=0.5)
    held_out = rows(root, "held_out")
    assert 0 < len(held_out) < 14 and sorted(rows(root) + held_out) == sorted(everything)
    write_image(root / "n02123045" / "n02123045_1000.JPEG", 1)
    prepare(root, held_out=0.5)
    assert [row for row in rows(root, "held_out") if row[0] != "n02123045_1000"] == held_out


def test_the_share_that_is_held_out_is_the_one_asked_for_in_every_class() -> None:
    ids = {synset: [f"{synset}_{number}" for number in range(10_000)] for synset in CLASSES}
    for share, synset in itertools.product((0.0, 0.02, 0.3), CLASSES):
        count = sum(is_held_out(image_id, share) for image_id in ids[synset])
        # Five standard deviations of a binomial distribution.
        assert abs(count - 10_000 * share) <= 5 * (10_000 * share * (1 - share)) ** 0.5
    assert all(is_held_out(i, 0.3) for i in ids["n02084071"] if is_held_out(i, 0.02))


def test_below_finds_what_a_search_of_all_paths_finds_also_in_cycles() -> None:
    for seed in range(20):
        draw = random.Random(seed)
        tree = {f"n{i:08d}": {f"n{draw.randrange(12):08d}" for _ in range(draw.randrange(3))} for i in range(12)}
        reached = {"n00000000"}
        for _ in range(12):
            reached |= {child for parent in reached for child in tree[parent]}
        assert below(tree, "n00000000") == reached


def test_the_tree_keeps_all_parents_of_a_synset(root: Path) -> None:
    tree = read_tree(root / "wordnet.is_a.txt")
    assert [parent for parent in tree if "n02113624" in tree[parent]] == ["n02084861", "n02085374"]
    assert below(tree, "n02084071") == {"n02084071", "n02084861", "n02085374", "n02113624"}
    assert below(tree, "n02121620") == {"n02121620", "n02121808", "n02123045", "n02124623", "n02127052"}
    assert tree["n02127052"] == set()


def test_a_cycle_ends_and_counts_no_image_twice(root: Path) -> None:
    write_synsets(root, [*IS_A, ("n02123045", "n02121620"), ("n02113624", "n02113624")])
    assert prepare(root).counts == {"cat": Count(2, 6), "dog": Count(1, 3), "background": Count(3, 5)}


def test_what_is_below_both_has_both_tags(root: Path) -> None:
    write_synsets(root, [*IS_A, ("n02121620", "n02113624")])
    assert prepare(root).counts == {"cat": Count(3, 8), "dog": Count(1, 3), "background": Count(3, 5)}
    assert [row[2:] for row in rows(root) if row[0] == "n02113624_5"] == [["1", "1"]]
    assert len(rows(root)) == 14


def test_the_tree_may_lie_elsewhere(root: Path, tmp_path: Path) -> None:
    for name in ("wordnet.is_a.txt", "words.txt"):
        (root / name).rename(tmp_path / name)
    assert prepare(root, is_a=tmp_path / "wordnet.is_a.txt").lists["train"] == 14


def test_words_are_optional_where_the_tree_has_all_synsets(root: Path) -> None:
    (root / "words.txt").unlink()
    with pytest.raises(InputError, match="n03001627 is no synset of the tree"):
        prepare(root)
    (root / "n03001627").rename(root / "n01317541")
    assert prepare(root).lists["train"] == 12  # the chairs, whose files are named otherwise now, are left out


def only_tree(lines: str) -> Change:
    return lambda root: (root / "wordnet.is_a.txt").write_text(lines)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "wordnet.is_a.txt").unlink(), "does not exist: put ImageNet's wordnet.is_a.txt there"),
        (only_tree("n02083346 n02084071\n"), r"has no synset n02121620 \(cat\)"),
        (only_tree("n02120997 n02121620\n"), r"has no synset n02084071 \(dog\)"),
        (only_tree("n02083346 n02084071\nn02083346,n02084071\n"), "line 2: 'n02083346,n02084071' is no `parent child`"),
        (only_tree("dog n02084071\n"), "line 1: 'dog n02084071' is no"),
        (lambda root: (root / "words.txt").write_text("entity\tn00001740\n"), "words.txt has a line with 'entity'"),
        (lambda root: (root / "n99999999").mkdir(), "n99999999 is no synset of the tree"),
        (lambda root: (root / "n99999999.tar").touch(), r"n99999999\.tar is no synset of the tree"),
        (lambda root: (root / "cats").mkdir(), "cats is no synset of the tree: move it away"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(root: Path, change: Change, message: str) -> None:
    change(root)
    with pytest.raises(InputError, match=message):
        prepare(root)
    assert not list(root.glob("*.csv")) and not (root / ".decoded").exists()


def test_a_folder_without_classes_says_where_was_looked(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no class folder .*/other, .*/other/train, .*set --root"):
        prepare(tmp_path / "other", is_a=root / "wordnet.is_a.txt")


def test_a_read_only_folder_is_said_before_anything_is_done(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: path != root)
    with pytest.raises(InputError, match="is read-only: set --root to a folder of yours with a link `train`"):
        prepare(root)
    assert not (root / IN_ARCHIVE).exists()


def test_the_remedy_for_a_read_only_folder_works(root: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "train").symlink_to(root)
    assert prepare(own, is_a=root / "wordnet.is_a.txt").lists["train"] == 14


def test_the_synsets_of_words_are_read(root: Path) -> None:
    assert read_synsets(root / "words.txt") > {"n03001627", "n02121620"}
    assert read_synsets(root / "none.txt") == set()


def test_the_command_writes_the_lists_and_compares_counts(root: Path) -> None:
    ended = CliRunner().invoke(app, ["data", "prepare", "imagenet", "--root", str(root), "--processes", "1"])
    assert ended.exit_code == 0, ended.output
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in ended.output.splitlines() if "│" in line]
    assert cells == [
        ["cat", "2", "30", "6", "37,345"],
        ["dog", "1", "164", "3", "187,775"],
        ["background", "3", "", "5", "about 1,200,000"],
    ]
    assert "Only a part of the sub-classes of cat and dog is here, as in ILSVRC 2012" in ended.output
    held_out = len(rows(root, "held_out"))
    assert f"train.csv: {14 - held_out} images" in ended.output and f"held_out.csv: {held_out} images" in ended.output
    assert f"files left out: 1; {root / 'left_out.csv'}" in ended.output


def test_the_command_takes_a_tree_and_a_share(root: Path, tmp_path: Path) -> None:
    (root / "wordnet.is_a.txt").rename(tmp_path / "tree.txt")
    (root / "words.txt").rename(tmp_path / "words.txt")
    options = ["--is-a", str(tmp_path / "tree.txt"), "--held-out", "0.5", "--processes", "1"]
    ended = CliRunner().invoke(app, ["data", "prepare", "imagenet", "--root", str(root), *options])
    assert ended.exit_code == 0, ended.output
    assert [row[0] for row in rows(root, "held_out")] == [
        r[0] for r in rows(root, "held_out") if is_held_out(r[0], 0.5)
    ]
    assert not any(is_held_out(row[0], 0.5) for row in rows(root))


def test_the_command_ends_with_one_sentence_and_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["wsss", "data", "prepare", "imagenet", "--root", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    tree = tmp_path / "wordnet.is_a.txt"
    assert capsys.readouterr().err == (
        f"wsss: {tree} does not exist: put ImageNet's wordnet.is_a.txt there, or set --is-a.\n"
    )
