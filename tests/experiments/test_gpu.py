"""What is to run on photographs and on a GPU plans here; the folder that is carried there holds what it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch
from fake_data import write_voc
from PIL import Image

from wsss_lightning.data.masks import read_mask
from wsss_lightning.nn.resnet import resnet18

PROJECT = Path(__file__).parents[2]
EXPERIMENTS = PROJECT / "experiments"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny tree with a list train_aug and a tag file, and weights of a random ResNet-18 beside it."""
    root = tmp_path_factory.mktemp("photographs")
    train, sbd = (
        [f"{year}_{number:06}" for number in range(1, 8)] for year in (2007, 2009)
    )  # cats and dogs among them
    lists = {"train": train, "sbd": sbd, "val": ["2008_000001", "2008_000002"], "aug": "Segmentation/train_aug.txt"}
    write_voc(root, xml=False, tag_file="cls_labels.npy", size=(48, 64), **lists)
    torch.save(resnet18(None).network.state_dict(), root.with_name("weights.pth"))
    return root


@pytest.fixture(scope="module")
def packed(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `gpu.sh pack` makes of them, without packages, for which it needs their index."""
    folder = tmp_path_factory.mktemp("packed")
    (folder / "voc.tar.gz").write_bytes(bytes(10**7))  # of an earlier call
    done = gpu("pack", folder, photographs, photographs.with_name("weights.pth"), PINS="", FIRST="13", LIMIT="50")
    assert done.returncode == 0, done.stderr
    return folder


def gpu(*arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    return script("gpu.sh", *arguments, PYTHON=sys.executable, BACKBONE="resnet18", **settings)


def script(name: str, *arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(EXPERIMENTS / name), *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "200", **settings}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_what_is_carried_is_small_and_in_the_layout_it_came_in(packed: Path) -> None:
    with tarfile.open(packed / "voc.tar.gz") as archive:
        archive.extractall(packed / "seen", filter="data")
    seen = packed / "seen"
    lists = {path.stem: path.read_text().split() for path in (seen / "ImageSets" / "Segmentation").iterdir()}
    assert {name: len(ids) for name, ids in lists.items()} == {"train_aug": 14, "val": 2, "train": 7, "train_first": 13}
    assert lists["train_first"] == lists["train_aug"][:13]
    for image_id in [*lists["train_aug"], *lists["val"]]:
        with Image.open(seen / "JPEGImages" / f"{image_id}.jpg") as picture:
            assert picture.size == (64, 48), "what is small enough stays as large"
        assert read_mask(seen / "SegmentationClassAug" / f"{image_id}.png").shape == (48, 64)
    assert (seen / "cls_labels.npy").is_file() and (packed / "weights" / "weights.pth").is_file()


def test_photographs_shrink_and_masks_keep_their_labels(photographs: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(EXPERIMENTS / "gpu.py"), "shrink", str(photographs), str(tmp_path / "a.tar.gz")]
    subprocess.run([*command, "--bytes", "1000000", "--side", "32"], check=True, capture_output=True)
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    with Image.open(tmp_path / "JPEGImages" / "2007_000001.jpg") as picture:
        assert picture.size == (32, 24)
    path = Path("SegmentationClass") / "2007_000001.png"
    assert {*read_mask(tmp_path / path).flat} <= {*read_mask(photographs / path).flat} == {0, 1, 2, 255}
    cramped = subprocess.run([*command, "--bytes", "131100"], check=False, capture_output=True, text=True)
    assert cramped.returncode == 1 and "give more room" in cramped.stderr and not (tmp_path / "a.tar.gz").exists()


def test_a_folder_that_cannot_be_carried_is_refused(photographs: Path, tmp_path: Path) -> None:
    done = gpu("pack", tmp_path / "a", photographs, photographs.with_name("weights.pth"), PINS="", LIMIT="40")
    assert done.returncode == 1 and "weights and packages alone have more than 40 MiB" in done.stderr


def test_a_package_that_the_machine_has_is_left_out(tmp_path: Path) -> None:
    for name in ("numpy", "no_such_distribution"):
        (tmp_path / name).mkdir()
    command = [sys.executable, str(EXPERIMENTS / "gpu.py"), "lacking", str(tmp_path)]
    assert subprocess.check_output(command, text=True).strip() == str(tmp_path / "no_such_distribution")


def test_seconds_are_shared_out_by_what_a_step_costs(tmp_path: Path) -> None:
    cost = {"localization": 0.01, "segmenter": 0.01, "generator": 0.01, "final": 0.01, "patches": 0.002}
    (tmp_path / "training.json").write_text(json.dumps({"seconds_a_step": cost}))
    command = [sys.executable, str(EXPERIMENTS / "gpu.py"), "steps", str(tmp_path / "training.json")]
    budgets = ["--priors", "240", "--coseg", "120", "--patches", "6"]  # 240 s and 430 s are the papers' whole
    lines = dict(line.split("=") for line in subprocess.check_output([*command, *budgets], text=True).split())
    assert (lines["PRIORS_SHARE"], lines["SEGMENTER"]) == ("1/1", "[4000,2000]")
    assert (lines["COSEG_SHARE"], lines["GENERATOR"], lines["FINAL"]) == ("1/4", "[1250,125]", "[2750,375]")
    assert lines["PATCHES"] == "[2000,1000]"


def check_plan(done: subprocess.CompletedProcess[str], packed: Path) -> None:
    assert done.returncode == 0, done.stderr
    assert "to run" in done.stdout and "wsss:" not in done.stderr
    assert not [*(packed / "work").rglob("stage.json")]


def test_the_plan_of_a_part_computes_nothing(packed: Path) -> None:
    done = gpu("plan", packed, PARTS="priors crf")
    check_plan(done, packed)
    assert "== crf" in done.stdout and "== cams" not in done.stdout and "localization" in done.stdout


@pytest.mark.long
def test_the_plan_of_everything(packed: Path) -> None:
    done = gpu("plan", packed)
    check_plan(done, packed)
    names = [line.split()[1].rstrip(",") for line in done.stdout.splitlines() if line.startswith("==")]
    assert {"agreement", "training", "priors", "coseg", "coseg-masks", "patches-cat", "patches-dog"} <= {*names}


@pytest.mark.long
def test_everything_runs_at_toy_size(packed: Path, tmp_path: Path) -> None:
    done = gpu("run", packed, tmp_path / "out", TINY="1", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    first, *log = (tmp_path / "out" / "gpu.log").read_text().splitlines()
    assert " cores; packed at commit " in first
    assert len(log) > 10 and all(line.split()[3] == "done" for line in log), log
    with tarfile.open(tmp_path / "out" / "results.tar.gz") as archive:
        names = {Path(name).name for name in archive.getnames()}
    end = log[0].split()[1]
    assert {f"{name}-{end}.json" for name in ("agreement", "cams", "prediction", "crf_device", "training")} <= names
    assert f"photographs-voc-lse-{end}.json" in names


def tables_on_photographs(
    root: Path, tmp_path: Path, *overrides: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    wsss = tmp_path / "wsss"
    wsss.write_text(f'#!/bin/sh\nexec {sys.executable} -m wsss_lightning.cli "$@"\n')
    wsss.chmod(0o755)
    given = {"WSSS": str(wsss), "SEEDS": "0", "PYTHONPATH": str(PROJECT), **settings}
    weights = root.with_name("weights.pth")
    return script("photographs.sh", root, weights, f"paths.root={tmp_path}", "backbone=resnet18", *overrides, **given)


def plan_photographs(root: Path, tmp_path: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return tables_on_photographs(root, tmp_path, PLAN="1", **settings)


def test_tables_on_photographs_plan(photographs: Path, tmp_path: Path) -> None:
    done = plan_photographs(photographs, tmp_path, TABLES="cam/labels coseg/photographs_masks")
    assert done.returncode == 0, done.stderr
    assert "│ labels" in done.stdout and "│ cosegmentation" in done.stdout


def test_tables_on_photographs_take_the_precision_that_is_asked_for(photographs: Path, tmp_path: Path) -> None:
    keys = [
        plan_photographs(photographs, tmp_path, TABLES="cam/labels", PRECISION=p).stdout
        for p in ("32-true", "bf16-mixed")
    ]
    assert "│ labels" in keys[0] and keys[0] != keys[1]


def test_a_table_on_photographs_that_fails_is_told_by_log_and_status(photographs: Path, tmp_path: Path) -> None:
    log = tmp_path / "photographs.log"
    done = tables_on_photographs(photographs, tmp_path, TABLES="cam/no_such_table", SAVE="", LOG=str(log))
    assert done.returncode == 1 and "cam/no_such_table seed=0 failed after" in log.read_text()


@pytest.mark.long
def test_all_tables_on_photographs_plan(photographs: Path, tmp_path: Path) -> None:
    done = plan_photographs(photographs, tmp_path)
    assert done.returncode == 0, done.stderr
    assert plan_photographs(photographs, tmp_path, TABLES="cam/no_such_table").returncode == 1
