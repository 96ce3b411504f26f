"""The parent of a machine's processes: `python -m wsss_lightning.pipeline.launcher CALLER NUMBER REQUEST`."""

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

from wsss_lightning.lifetime import end_with_parent


def main(caller: int, number: int, request: str) -> None:
    """Start the workers of machine `number` and wait for them; `caller`: the process that must not end before."""
    end_with_parent(caller)
    os.environ["WSSS_LAUNCHER"] = str(os.getpid())
    content = json.loads(Path(request).read_text())
    worker = ["-m", "wsss_lightning.pipeline.worker", request]
    sys.argv = ["torchrun", f"--nproc-per-node={content['processes']}", *_rendezvous(content, number), *worker]
    try:
        runpy.run_module("torch.distributed.run", run_name="__main__", alter_sys=True)
    except Exception as error:
        if type(error).__name__ != "SignalException":  # torch's, by name, since this package does without torch
            raise
        sys.exit(1)  # it has ended the workers and said so


def _rendezvous(content: dict[str, Any], number: int) -> list[str]:
    """How the processes find those of other machines; ranks go through the machines in the order of their numbers."""
    if content.get("machines", 1) == 1:
        return ["--standalone"]
    return [
        *(f"--nnodes={content['machines']}", f"--node-rank={number}", f"--rdzv-id={content['id']}"),
        *("--rdzv-backend=static", f"--rdzv-endpoint={content['endpoint']}"),
    ]


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
