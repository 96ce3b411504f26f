from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fake_models import NAMES, picture, save_model
from safetensors.numpy import load_file
from typer.testing import CliRunner

import wsss_lightning
from wsss_lightning.cli import app
from wsss_lightning.data.masks import read_mask
from wsss_lightning.errors import InputError


def test_pictures_are_labelled_and_bad_ones_named_at_the_end(tmp_path: Path) -> None:
    model, photos, out = (
        save_model(tmp_path / "store" / "student-0123456789abcdef", "cam"),
        tmp_path / "in",
        tmp_path / "out",
    )
    photos.mkdir()
    for name, size in (("a", (40, 60)), ("c", (70, 50))):
        picture(*size).save(photos / f"{name}.png")
    (photos / "b.jpg").write_bytes(b"no picture")
    (tmp_path / "tags.csv").write_text(f"image,tags\na.png,{NAMES[0]}\nb.jpg,\nc.png,{NAMES[1]};{NAMES[2]}\n")
    given = ["predict", "student", str(photos), "--out", str(out), "--root", str(tmp_path), "--probabilities"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 1 and "b.jpg cannot be decoded" in done.output and "1 could not be labelled" in done.output
    result = wsss_lightning.load(model).predict(photos / "c.png")
    assert np.array_equal(read_mask(out / "masks" / "c.png"), result.indices)
    kept = load_file(out / "probabilities" / "c.safetensors")["probabilities"]
    assert np.allclose(kept, result.probabilities, atol=1e-3)
    assert sorted(path.name for path in (out / "overlays").iterdir()) == ["a.jpg", "c.jpg"]
    assert json.loads((out / "classes.json").read_text())["names"] == ["background", *NAMES]
    tagged = CliRunner().invoke(app, [*given, "--tags", str(tmp_path / "tags.csv"), "--crf", "sec", "--no-overlays"])
    assert tagged.exit_code == 1
    assert set(np.unique(read_mask(out / "masks" / "a.png"))) <= {0, 1}


def test_where_no_picture_can_be_labelled_nothing_is_said_to_be_written(tmp_path: Path) -> None:
    save_model(tmp_path / "store" / "student-0123456789abcdef", "cam")
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    given = ["predict", "student", str(tmp_path / "b.jpg"), "--out", str(tmp_path / "out"), "--root", str(tmp_path)]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 1 and "b.jpg cannot be decoded" in done.output and "written to" not in done.output


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("nothing", [], "There is no model nothing, .* has student-0123, student-0456"),
        ("student", [], "There are several models student"),
        ("student-01", ["--scales", "a"], "scales=a"),
        ("student-01", ["--crf", "x"], "There is no CRF x: choose from coseg, deeplab_v2"),
        ("student-01", ["--tags", "cat"], "no class 'cat'"),
        ("student-01", ["--accelerator", "tpu"], "choose another accelerator"),
    ],
)
def test_wrong_words_are_one_sentence(tmp_path: Path, model: str, options: list[str], message: str) -> None:
    for key in ("0123", "0456"):
        save_model(tmp_path / "store" / f"student-{key}", "cam")
    picture(16, 16).save(tmp_path / "a.png")
    given = ["predict", model, str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--root", str(tmp_path)]
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(app, [*given, *options], catch_exceptions=False)
    assert not (tmp_path / "out").exists()
