from pathlib import Path

import pytest
from typer.testing import CliRunner

from wsss_lightning.cli import app
from wsss_lightning.pipeline import accelerators

WITHOUT = "flags\t\t: fpu sse4_2 avx2\n"
WITH = {"x86": "flags\t\t: fpu avx512_bf16\n", "arm": "Features\t: fp asimd bf16\n"}


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for the description of this machine's processor, on a machine without GPUs."""
    path = tmp_path / "cpuinfo"
    path.write_text(WITHOUT)
    monkeypatch.setattr(accelerators, "_PROCESSOR", path)
    monkeypatch.setenv(accelerators.ALL, "")
    return path


def told(precision: str) -> str:
    return accelerators.emulated([{}, {"trainer": {"precision": precision}}])


def test_a_processor_without_bf16_is_told_where_that_is_asked_for(processor: Path) -> None:
    assert told("bf16-mixed").startswith("trainer.precision=bf16-mixed takes many times as long as 32-true")
    assert told("32-true") == ""


@pytest.mark.parametrize("flags", WITH.values(), ids=WITH)
def test_nothing_is_told_of_one_that_has_it(processor: Path, flags: str) -> None:
    processor.write_text(flags)
    assert told("bf16-mixed") == ""


def test_nothing_is_told_where_it_cannot_be_known_or_a_gpu_computes(
    processor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(accelerators.ALL, "0")
    assert told("bf16-mixed") == ""
    monkeypatch.setenv(accelerators.ALL, "")
    processor.unlink()
    assert told("bf16-mixed") == ""


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_a_plan_tells_it(processor: Path, tmp_path: Path, precision: str) -> None:
    done = CliRunner().invoke(app, ["plan", "method=cam", f"paths.root={tmp_path}", f"trainer.precision={precision}"])
    assert done.exit_code == 0
    assert ("no bf16 instructions" in done.output) == (precision == "bf16-mixed")
