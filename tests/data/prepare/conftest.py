"""VOC and SBD side by side, as their archives unpack."""

from pathlib import Path

import pytest
from fake_sbd import write_voc_and_sbd


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_voc_and_sbd(tmp_path)
    return tmp_path


@pytest.fixture
def voc2012(root: Path) -> Path:
    return root / "VOCdevkit" / "VOC2012"


@pytest.fixture
def dataset(root: Path) -> Path:
    return root / "benchmark_RELEASE" / "dataset"
