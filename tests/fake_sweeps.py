"""Sweeps in processes of their own, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import fake_stages

from wsss_lightning import cli

FAKE = """
# @package _global_
row: 0
at_once: 1
stages:
  only: {_target_: fake_stages.show_devices, row: "${row}", at_once: "${at_once}", trainer: {devices: 1}}
given: {trainer: null}
result: only
"""
CODE = Path(cli.__file__).parents[1]
_MARK = "WSSS_TEST_SWEEP"  # environment variable that all of its processes inherit


class Sweep:
    """`wsss run -m` of a method of one stage, in a process of its own."""

    def __init__(self, folder: Path, text: str = FAKE, name: str = "fake") -> None:
        self.folder, self.root = folder, folder / "runs"
        (folder / "conf" / "method").mkdir(parents=True, exist_ok=True)
        (folder / "conf" / "method" / f"{name}.yaml").write_text(text)

    def start(self, *overrides: str, code: Path = CODE, **environment: str) -> subprocess.Popen[str]:
        where = [f"hydra.searchpath=[{self.folder / 'conf'}]", f"paths.root={self.root}"]
        command = [sys.executable, "-m", "wsss_lightning.cli", "run", "-m", *where, *overrides]
        paths = os.pathsep.join([str(code), str(Path(fake_stages.__file__).parent)])
        variables = {**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1", **environment}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command,
            env={**variables, _MARK: str(self.folder)},
            stdout=pipe,
            stderr=pipe,
            text=True,
            cwd=self.folder,
            start_new_session=True,
        )

    def run(self, *overrides: str, **environment: str) -> str:
        job = self.start(*overrides, **environment)
        out, err = job.communicate(timeout=600)
        assert job.returncode == 0, err
        return out + err

    def devices(self) -> list[str]:
        return sorted(path.read_text() for path in (self.root / "store").glob("only-*/devices"))

    def living(self) -> dict[int, str]:
        """Process ids and commands of all that the sweep has started and that has not ended."""
        mark, found = f"{_MARK}={self.folder}".encode(), {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (path / "environ").read_bytes().split(b"\0"):
                    found[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
            except OSError:  # it has ended meanwhile, or is another account's
                continue
        return found

    def end(self) -> None:
        """Kill whatever is left."""
        for process in self.living():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def wait(condition: Callable[[], object], *, what: str | Callable[[], str], seconds: float = 120) -> None:
    """Until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what if isinstance(what, str) else what()}"
        time.sleep(0.05)
