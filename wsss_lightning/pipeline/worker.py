"""One process of a process group: `python -m wsss_lightning.pipeline.worker REQUEST`, started by the launcher."""

import json
import os
import sys
from pathlib import Path

from wsss_lightning.atomic import write_json
from wsss_lightning.errors import InputError
from wsss_lightning.lifetime import end_with_parent
from wsss_lightning.pipeline.calls import call


def main(request: Path) -> None:
    """Call the requested node; the first process answers with the outcome, any with an `InputError`."""
    end_with_parent(int(os.environ["WSSS_LAUNCHER"]))
    content = json.loads(request.read_text())
    answer = Path(content["answer"])
    try:
        outcome = call(content["node"])
    except InputError as error:
        write_json(answer, {"error": str(error)})
        sys.exit(1)
    except KeyboardInterrupt:  # Ctrl-C reaches all processes, and the run tells of it
        sys.exit(130)
    if os.environ["RANK"] == "0" and not answer.exists():
        write_json(answer, outcome)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
