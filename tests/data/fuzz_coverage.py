"""One reader on files that atheris makes out of the corpus, those that reach new code first.

python tests/data/fuzz_coverage.py READER SECONDS

Started by `test_fuzzing.py`, since libFuzzer wants a process of its own. A crash, a hang or an allocation above 1 GB
ends it with a status other than 0.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["wsss_lightning"]):
    from broken_case import Broken
    from test_fuzzing import READERS, SEEDS, read_or_refuse


def main(name: str, seconds: str) -> None:
    """Fuzz the reader of files called `name`."""

    def attempt(content: bytes) -> None:
        read_or_refuse(Broken("fuzz", name, content, READERS[name]))

    with TemporaryDirectory() as corpus:
        for number, content in enumerate(SEEDS[name]):
            Path(corpus, str(number)).write_bytes(content)
        limits = [f"-max_total_time={seconds}", "-timeout=20", "-malloc_limit_mb=1024", "-rss_limit_mb=4096"]
        atheris.Setup([sys.argv[0], corpus, *limits, "-max_len=5000"], attempt)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
