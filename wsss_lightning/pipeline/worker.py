"""One process of a stage that runs on several devices: `python -m wsss_lightning.pipeline.worker REQUEST`."""

import json
import os
import sys
from pathlib import Path

from wsss_lightning.pipeline.execution import _call
from wsss_lightning.lifetime import end_with_parent
from wsss_lightning.pipeline.store import write_json


def main(request: Path) -> None:
    """Run the requested node; the first process writes the metrics."""
    end_with_parent()
    content = json.loads(request.read_text())
    metrics = _call(content["node"])
    if os.environ["RANK"] == "0":
        write_json(Path(content["answer"]), metrics)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
