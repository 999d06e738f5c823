"""The folders whose files a model may have opened: `--data DIR`."""

from dataclasses import dataclass
from pathlib import Path

from factorylm_schema.errors import BadRequestError, UnknownNameError


@dataclass(frozen=True)
class DataFolders:
    """Files of these folders, of these kinds, and nothing else on the disk."""

    folders: tuple[Path, ...]
    suffixes: tuple[str, ...]

    def path(self, name: str) -> Path:
        """A file inside the folders; links that lead out of them do not count as inside."""
        if not self.folders:
            raise BadRequestError("no file may be opened", hint="the operator starts the server with --data DIR")
        for folder in self.folders:
            inside = folder.resolve()
            path = (inside / name).resolve()
            if path.is_relative_to(inside) and path.is_file():
                return path
        if any((folder.resolve() / name).resolve().is_file() for folder in self.folders):
            raise BadRequestError(f"{name[:80]!r} lies outside the data folder", hint="name a file inside it")
        raise UnknownNameError("file", name[:200], self.files())

    def files(self) -> list[str]:
        """Their names, as `path` takes them."""
        found: list[str] = []
        for folder in self.folders:
            inside = folder.resolve()
            files = (p for p in sorted(inside.rglob("*")) if p.name.lower().endswith(self.suffixes) and p.is_file())
            found.extend(str(path.relative_to(inside)) for path in files)
        return found
