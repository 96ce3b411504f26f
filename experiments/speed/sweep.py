"""What a sweep takes beside its stages: wall and processor seconds over those of the distinct stages; tables of it.

python experiments/speed/sweep.py [--rows N] [--scenes N] [--set OVERRIDE ...] [--rounds N] [--out D]

Rows are samplings of points under several seeds, on generated scenes; the first table of finished results, and each
command, is a process of its own. Writes sweep.{json,md}. Set OMP_NUM_THREADS=1.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from commands import WSSS, run
from measurement import Row, machine

from wsss_lightning.stages.io import write_json

SAMPLINGS = ("points/dense", "points/spatial", "points/top", "points/diverse")
TABLE = "points/table2"


def main(arguments: list[str]) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="A sweep beside the sum of its stages.")
    parser.add_argument("--rows", type=int, default=12, help="rows, four of a seed")
    parser.add_argument("--scenes", type=int, default=400, help="to learn from; a quarter as many to test on")
    parser.add_argument("--set", nargs="+", default=[], metavar="OVERRIDE", help="of all rows, to shorten stages")
    parser.add_argument("--rounds", type=int, default=3, help="tables of finished results")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = measure_sweep(Path(folder), options.rows, options.scenes, options.set, rounds=options.rounds)
    chosen = f"--rows {options.rows} --scenes {options.scenes} --rounds {options.rounds}"
    chosen += f" --set {' '.join(options.set)}" if options.set else ""
    found["machine"] = machine(f"OMP_NUM_THREADS=1 python experiments/speed/sweep.py {chosen}")
    write_json(options.out / "sweep.json", found)
    (options.out / "sweep.md").write_text("\n".join(page(found)) + "\n")


def measure_sweep(folder: Path, rows: int, scenes: int, overrides: list[str], *, rounds: int) -> Row:
    """One sweep in an empty store, the same again, and the table of its first seed."""
    samplings, seeds = SAMPLINGS[: min(rows, 4)], [*range(-(-rows // 4))]
    shared = [f"paths.root={folder}", f"stages.shapes.train={scenes}", f"stages.shapes.val={max(scenes // 4, 4)}"]
    shared += ["runtime.progress=false", *overrides]
    sweep = [*WSSS, "run", "-m", f"experiment={','.join(samplings)}", f"seed={','.join(map(str, seeds))}", *shared]
    first, again = run(sweep), run(sweep)
    records = [json.loads(path.read_text()) for path in sorted((folder / "store").glob("*/stage.json"))]
    stages = sum(record["wall_seconds"] for record in records)
    table = [*WSSS, "table", TABLE, "seed=0", *shared]
    tables = [run(table)["processor_s"] for _ in range(rounds)]
    return {
        "rows": len(samplings) * len(seeds),
        "stages": len(records),
        "stages_s": stages,
        "sweep": first,
        "again": again,
        "wall_over_stages": first["wall_s"] / stages,
        "a_job_s": (first["wall_s"] - stages) / (len(samplings) * len(seeds)),
        "table": {"rows": 4, "processor_s": statistics.median(tables), "rounds": rounds},
    }


def page(found: Row) -> list[str]:
    """The Markdown page."""
    at, first, again = found["machine"], found["sweep"], found["again"]
    return [
        f"`{at['command']}`, {at['date']}, commit {at['commit']}, {at['processor']}, {at['cores']} cores, load average "
        f"{at['load_average_1_5_15_min']}.",
        "",
        "| | wall, s | processor, s |",
        "|---|---:|---:|",
        f"| {found['rows']} rows in an empty store | {first['wall_s']:.1f} | {first['processor_s']:.1f} |",
        f"| their {found['stages']} distinct stages | {found['stages_s']:.1f} | |",
        f"| the same again, all finished | {again['wall_s']:.1f} | {again['processor_s']:.1f} |",
        f"| `wsss table {TABLE}`, finished | | {found['table']['processor_s']:.2f} |",
        "",
        f"- The sweep takes {found['wall_over_stages']:.2f} times as long as its stages: {found['a_job_s']:.2f} s "
        "a job beside them.",
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
