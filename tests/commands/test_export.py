from __future__ import annotations

from pathlib import Path

import pytest
from fake_models import save_model
from typer.testing import CliRunner

from wsss_lightning.cli import app
from wsss_lightning.errors import InputError


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The beginning of a command, in an empty folder beside the store."""
    save_model(tmp_path / "store" / "student-0123456789abcdef", "cam")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return ["export", "student", "--root", str(tmp_path)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--to", "onnx", "--out", "c2.pt"],
            r"--out c2\.pt: --to onnx writes a \.onnx file: give c2\.onnx, or another",
        ),
        (["--to", "torchscript", "--out", "c2.onnx"], r"--to torchscript writes a \.pt file: give c2\.pt, "),
        (["--to", "onnx", "--out", "."], r"--out \.: --to onnx writes a \.onnx file: give its name\."),
        (["--to", "safetensors", "--out", "c2.safetensors"], "--to safetensors writes a folder: give c2, or another"),
    ],
)
def test_a_name_of_another_form_is_refused(given: list[str], options: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(app, [*given, *options], catch_exceptions=False)
    assert not [*Path.cwd().iterdir()]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["student.pt", "student.pt.json"]),
        (["--out", "a.pt"], ["a.pt", "a.pt.json"]),
        (["--out", "a"], ["a.pt", "a.pt.json"]),
        (["--out", "v1.2"], ["v1.2.pt", "v1.2.pt.json"]),
    ],
)
def test_a_name_without_suffix_gets_that_of_the_form(given: list[str], options: list[str], names: list[str]) -> None:
    done = CliRunner().invoke(app, [*given, "--to", "torchscript", *options], catch_exceptions=False)
    assert done.exit_code == 0 and done.stdout == f"written to {', '.join(names)}\n"
    assert sorted(path.name for path in Path.cwd().iterdir()) == names


def test_a_folder_that_is_there_takes_a_model(given: list[str]) -> None:
    done = CliRunner().invoke(app, [*given, "--to", "safetensors", "--out", "."], catch_exceptions=False)
    assert done.exit_code == 0 and (Path.cwd() / "model.safetensors").is_file()


def test_forms_of_one_name_stand_side_by_side_and_what_is_replaced_is_said(given: list[str]) -> None:
    export = [*given, "--to", "torchscript", "--out", "a"]
    assert CliRunner().invoke(app, export, catch_exceptions=False).exit_code == 0
    again = CliRunner().invoke(app, export, catch_exceptions=False)
    assert again.stdout == "written to a.pt, a.pt.json, in the place of what was there\n"
    shared = CliRunner().invoke(app, [*given, "--to", "safetensors", "--out", "a"], catch_exceptions=False)
    assert shared.exit_code == 0 and "in the place" not in shared.stdout
    assert {"a", "a.pt", "a.pt.json"} == {path.name for path in Path.cwd().iterdir()}
