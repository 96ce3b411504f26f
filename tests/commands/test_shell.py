"""What a shell asks of `wsss`: its version, and how a word goes on."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from wsss_lightning.cli import app

TAB = """
eval "$(wsss --show-completion bash)"
COMP_WORDS=(wsss su); COMP_CWORD=1; _wsss_completion wsss; echo "${COMPREPLY[@]}"
COMP_WORDS=(wsss store g); COMP_CWORD=2; _wsss_completion wsss; echo "${COMPREPLY[@]}"
"""


def test_the_version_is_the_installed_one() -> None:
    ended = CliRunner().invoke(app, ["--version"])
    assert ended.output == f"wsss_lightning {importlib.metadata.version('wsss-lightning')}\n"


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    script = tmp_path / "wsss"
    script.write_text(f"#!{sys.executable}\nfrom wsss_lightning.cli import main\nmain()\n")
    script.chmod(0o755)
    source = str(Path(__file__).parents[2])
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": source, "SHELL": "/bin/bash"}
    done = subprocess.run(["bash", "-c", TAB], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["submit summary", "gc"], done.stderr
