"""Every member as a wheel, built with the locked hatchling, without the network."""

import shutil
import subprocess
from pathlib import Path

from workspace.environment import PYTHON, SetupError
from workspace.members import ROOT, members


def build_wheels(folder: Path) -> list[Path]:
    """The wheels of all members in `folder`, which holds nothing else afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    for member in members():
        command = [str(PYTHON), "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
        built = subprocess.run(command, cwd=member.folder, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            place = member.folder.relative_to(ROOT)
            raise SetupError(f"{place} does not build as a wheel:\n{built.stdout}{built.stderr}")
    return sorted(folder.glob("*.whl"))
