"""Our own skills by the quality scale, each wheel in an empty environment; keeps the table that README shows.

Repeat with: ./run bench registry-skills
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from factorylm_registry.checking import table_lines
from factorylm_registry.quality import judge_all
from factorylm_registry.quality.environment import build_wheel
from factorylm_registry.registry import now
from measuring.figures import Figure

ROOT = Path(__file__).parents[1]
JUDGEMENTS = ROOT / "registry" / "judgements.json"
_KEPT = ("skill", "version", "judged_at", "tier", "figures", "rules")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help=f"write {JUDGEMENTS.relative_to(ROOT)} for ./run docs")
    options = parser.parse_args(argv)
    os.environ.setdefault("UV_CONSTRAINT", str(ROOT / "requirements.lock"))
    folders = sorted(path.parent for path in [*ROOT.glob("servers/*/skill.toml"), ROOT / "edge" / "skill.toml"])
    with tempfile.TemporaryDirectory() as scratch:
        kit = Path(scratch) / "kit"
        for name in ("schema", "skill"):
            build_wheel(ROOT / "libs" / name, kit)
        wheels = [build_wheel(folder, Path(scratch) / folder.name) for folder in folders]
        found = [one.wire() for one in judge_all(wheels, now(), sources=[kit])]
    print("\n".join(table_lines(found)))
    if options.keep:
        kept = [{key: one[key] for key in _KEPT} for one in found]
        JUDGEMENTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    lowest = [one["skill"] for one in found if one["tier"] not in ("silver", "gold", "platinum")]
    figure = Figure("skills below silver", len(lowest), most=0)
    print(figure.line)
    return int(not figure.kept)


if __name__ == "__main__":
    sys.exit(main())
