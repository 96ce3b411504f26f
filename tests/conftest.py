from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from wsss_lightning.pipeline.accelerators import ALL, WORKERS

os.environ.setdefault(WORKERS, "0")  # tests run side by side, one a core
_VARIABLES = (ALL, "CUDA_VISIBLE_DEVICES")  # that a job sets for its child processes


@pytest.fixture(autouse=True)
def process_as_before() -> Iterator[None]:
    """The command line sets logging and variables of the whole process, which a later test must not meet."""
    handlers, level = logging.root.handlers[:], logging.root.level
    variables = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    for name in _VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(variables)
