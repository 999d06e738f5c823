"""The gateway: its history against SQLite and DuckDB, 10,000 tags at 1 Hz, an outage with kills, a box of 512 MB.

    ./run bench edge                          all of it (about five minutes)
    ./run bench edge stores --tags 50         one part, smaller
    ./run bench edge outage --outage 60

Each part is measured in processes of its own. Processor time is of all threads of the process that is measured.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from edge_parts import collecting, outage, small_box, stores

PARTS = {
    "stores": lambda folder, options: stores.measure(folder, options.tags),
    "collecting": lambda folder, options: collecting.measure(folder, options.seconds),
    "outage": lambda folder, options: outage.measure(folder, options.outage),
    "small-box": lambda folder, options: small_box.measure(folder, options.seconds),
}
# what a part starts as a process of its own: `edge.py --as NAME ARGUMENTS`
PROCESSES = {"collect": collecting.collect, "drain": outage.drain, "small-box": small_box.run}


def main() -> int:
    if sys.argv[1:2] == ["--as"]:
        PROCESSES[sys.argv[2]](*sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=sorted(PARTS), help="one part only (default: all)")
    parser.add_argument("--tags", type=int, default=200, help="tags of the comparison (default 200)")
    parser.add_argument("--seconds", type=int, default=70, help="plant-seconds of collecting (default 70)")
    parser.add_argument("--outage", type=int, default=600, help="seconds of outage, 1,000 tags a second (default 600)")
    options = parser.parse_args()
    kept = True
    for name in [options.part] if options.part else PARTS:
        print(f"== {name}  (repeat: ./run bench edge {name})", flush=True)
        with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
            kept &= PARTS[name](Path(folder), options)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
