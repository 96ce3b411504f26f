"""Class activation maps of another repository, through the command line to networks and a row of a table."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from wsss_lightning import pipeline
from wsss_lightning.cli import app
from wsss_lightning.data.shapes import CLASSES
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError

SMALL = [
    "stages.shapes.train=8",
    "stages.shapes.val=3",
    "stages.shapes.size=64",
    "trainer.accelerator=cpu",
    "runtime.progress=false",
    "runtime.processes=1",
]
NETWORKS = {
    "coseg/full": ["tuning.crop=[48,48]", "tuning.final.steps=[3,1]", "coseg.panels=0", "result=evaluation"],
    "cam/student": ["tuning.student.steps=4"],
}
TABLE = "title: Imported\nsource: no paper\nmetric: val/miou\nrows: [{{name: theirs, experiment: {row}}}]\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the scenes, and IRNet's dictionaries of them, as its step `make_cam` writes them."""
    folder = tmp_path_factory.mktemp("runs")
    planned = pipeline.plan([f"paths.root={folder}", *SMALL, "method=cam", "result=shapes"])
    pipeline.run(planned)
    data = VOCDataModule(root=planned.final.folder, names=CLASSES, train_list="train", tags="masks")
    (folder / "irnet").mkdir()
    for record in data.records("train"):
        keys = torch.from_numpy(np.flatnonzero(record.tags))
        shown = [(data.read_target(record) == int(key) + 1).astype(np.float32) for key in keys]
        maps = np.stack([cv2.blur(one, (5, 5)) / cv2.blur(one, (5, 5)).max() for one in shown])
        small = torch.nn.functional.avg_pool2d(torch.from_numpy(maps), 4)
        content = np.array({"keys": keys, "cam": small, "high_res": maps}, dtype=object)
        np.save(folder / "irnet" / f"{record.image_id}.npy", content, allow_pickle=True)
    done = import_cams(folder / "irnet", folder / "imported", planned.final.folder)
    assert "cams of 8 images, 0 missing" in done and "source=masks imported.root=" in done
    return folder


def import_cams(cams: Path, out: Path, scenes: Path) -> str:
    data = ["data.train_list=train", f"+data.names=[{','.join(CLASSES)}]", "--root", str(scenes)]
    said = ["--origin", "IRNet", "--supervision", "image tags"]
    command = ["data", "import", str(cams), "voc", *data, "--out", str(out), *said, "--processes", "1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.exception
    return done.output.replace("\n", " ")


@pytest.mark.parametrize("row", NETWORKS)
def test_a_network_that_learns_from_them_is_a_row_of_a_table(root: Path, tmp_path: Path, row: str) -> None:
    given = ["source=masks", f"imported.root={root / 'imported'}", f"paths.root={root}", *SMALL, *NETWORKS[row]]
    (tmp_path / "mine.yaml").write_text(TABLE.format(row=row))
    done = CliRunner().invoke(app, ["table", str(tmp_path / "mine.yaml"), *given, "--run", "--format", "json"])
    assert done.exit_code == 0, done.output
    (shown,) = json.loads(done.stdout)["rows"]
    planned = pipeline.plan([f"experiment={row}", *given])
    record = planned.final.record() or {}
    assert record["metrics"]["val/miou"] == shown["results"][0]["value"]
    assert record["card"]["supervision"] == "image tags (as said of what was imported)"
    assert record["card"]["labels"] == "imported: cams of IRNet, 8 of 8 images"
    assert "labels" not in planned.stages and "cosegmentation" not in planned.stages
    assert planned.stages["imported"].record() is not None
    judged = pipeline.run(pipeline.plan([f"experiment={row}", *given, "result=judged_labels"]))
    assert judged["train/miou"] > 0.5, "the maps are those of the true masks"


def test_other_content_is_another_key_and_other_methods_refuse_it(root: Path, tmp_path: Path) -> None:
    given = ["method=cam", "source=masks", *SMALL, f"paths.root={root}"]
    key = pipeline.plan([*given, f"imported.root={root / 'imported'}"]).stages["imported"].key
    refined = {name: f"crf@imported.crf={name}" for name in ("sec", "par")} | {"none": "imported.crf=null"}
    plans = [pipeline.plan([*given, f"imported.root={root / 'imported'}", crf]) for crf in refined.values()]
    assert plans[0].stages["imported"].key == key and len({plan.final.key for plan in plans}) == 3
    for path in (root / "imported").rglob("*.*"):
        other = tmp_path / path.relative_to(root / "imported")
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(path.read_bytes())
    assert pipeline.plan([*given, f"imported.root={tmp_path}"]).stages["imported"].key == key
    next((tmp_path / "cams").iterdir()).unlink()
    assert pipeline.plan([*given, f"imported.root={tmp_path}"]).stages["imported"].key != key
    with pytest.raises(InputError, match=r"no stage reads imported\.as: .* of this method"):
        pipeline.plan(["method=points", "source=masks", f"imported.root={tmp_path}"])
