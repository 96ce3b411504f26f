"""The parent of a process group: `python -m wsss_lightning.pipeline.launcher CALLER COUNT REQUEST`."""

import os
import runpy
import sys

from wsss_lightning.lifetime import end_with_parent


def main(caller: int, count: int, request: str) -> None:
    """Start `count` workers and wait for them; `caller`: the process that must not end before."""
    end_with_parent(caller)
    os.environ["WSSS_LAUNCHER"] = str(os.getpid())
    worker = ["-m", "wsss_lightning.pipeline.worker", request]
    sys.argv = ["torchrun", "--standalone", f"--nproc-per-node={count}", *worker]
    runpy.run_module("torch.distributed.run", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
