"""Every measurement in one command: `python -m bench`, or `make bench`. Prints the rows and writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Run the chosen parts one after the other. Exit code: 0 every bar is met, 1 one is missed or a part could not run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="image, service, or both (the default)"
    )
    parser.add_argument("--seconds", type=int, default=4, help="of each round of wrk (default: 4)")
    parser.add_argument(
        "--load-seconds",
        type=float,
        default=20,
        help="of the load with a restart (default: 20; the bar's is 600)",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - {"image", "service"}:
        parser.error(f"no such part: {', '.join(sorted(unknown))} (there are: image, service)")
    commands = {
        "image": ["bench.image"],
        "service": [
            "bench.service",
            f"--seconds={arguments.seconds}",
            f"--load-seconds={arguments.load_seconds:g}",
        ],
    }
    if shutil.which("wrk") is None and "service" in (arguments.parts or commands):
        sys.stderr.write("bench: wrk is missing: apt-get install wrk\n")
        return 1
    # A process for each: what one imports or leaves in memory is none of the other's business.
    codes = [
        subprocess.run([sys.executable, "-m", *commands[part]], cwd=ROOT, check=False).returncode
        for part in arguments.parts or commands
    ]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
