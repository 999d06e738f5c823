"""Where skills come from: a registry's service, its static tree in a folder, or that tree zipped as a bundle."""

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

from factorylm_registry.refusals import BadQuestionError, NotListedError, RefusedError, UntrustedError
from factorylm_registry.signatures import Verifier, unsealed
from factorylm_registry.wheels import MOST_BYTES, Wheel, read_wheel

BUNDLE_FILE, BUNDLE = "bundle.json", "urn:factorylm:bundle:v1"
_TIMEOUT_S = 20
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Source(Protocol):
    """What installing needs of a registry."""

    def evidence(self, name: str, version: str) -> Any:
        """The listing and its proofs."""
        ...

    def wheel(self, sha256: str, filename: str) -> Wheel:
        """The wheel."""
        ...

    def tile(self, path: str) -> bytes:
        """A tile of the log, for example `0/000.p/5`."""
        ...

    def search(self, text: str) -> list[dict[str, Any]]:
        """The latest versions that fit, as the API lists them."""
        ...

    @property
    def wheel_folders(self) -> tuple[Path, ...]:
        """Folders with the wheels of dependencies; empty where the usual index is asked."""
        ...


@dataclass(frozen=True)
class HttpSource:
    """A registry's service."""

    address: str
    wheel_folders: tuple[Path, ...] = ()

    def evidence(self, name: str, version: str) -> Any:
        return json.loads(self.call("GET", f"/evidence/{quote(name, safe='')}/versions/{quote(version, safe='')}"))

    def wheel(self, sha256: str, filename: str) -> Wheel:
        return read_wheel(filename, self.call("GET", f"/wheels/{quote(sha256)}/{quote(filename)}"))

    def tile(self, path: str) -> bytes:
        return self.call("GET", f"/log/tile/{path}")

    def search(self, text: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        asked = {"version": "latest", "limit": "100", **({"search": text} if text else {})}
        while True:
            page = json.loads(self.call("GET", f"/v0.1/servers?{urlencode(asked)}"))
            found += page["servers"]
            cursor = page["metadata"].get("nextCursor")
            if not cursor or len(found) >= 1000:
                return found
            asked = {"cursor": cursor, "limit": "100"}

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        token: str = "",
        content_type: str = "application/json",
    ) -> bytes:
        """One request; a refusal is raised with the registry's own words."""
        parts = urlsplit(self.address)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise BadQuestionError(f"{self.address} is not https", hint="Plain http is for this machine only")
        headers = {"Content-Type": content_type, **({"Authorization": f"Bearer {token}"} if token else {})}
        request = Request(self.address.rstrip("/") + path, data=body, method=method, headers=headers)  # noqa: S310
        try:
            with urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 (https, or this machine)
                content: bytes = answer.read(MOST_BYTES + 1)
                return content
        except HTTPError as error:
            raise _refusal(error) from error
        except (URLError, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise RefusedError(f"{self.address} does not answer: {reason}", hint="Is the registry running?") from error


def _refusal(error: HTTPError) -> RefusedError:
    try:
        body = json.loads(error.read(100_000))
        detail, faults = str(body["detail"]), body.get("errors", [])
    except (ValueError, KeyError, TypeError):
        detail, faults = f"the registry answered {error.code}", []
    lines = [detail, *(f"{fault.get('location')}: {fault.get('message')}" for fault in faults)]
    kind = NotListedError if error.code == 404 else RefusedError
    return kind("\n  ".join(lines))


@dataclass(frozen=True)
class FolderSource:
    """A static tree, as `index` writes it."""

    folder: Path
    wheel_folders: tuple[Path, ...] = ()

    def evidence(self, name: str, version: str) -> Any:
        return self._json(f"evidence/{name}/versions/{version}")

    def wheel(self, sha256: str, filename: str) -> Wheel:
        path = self._inside(f"wheels/{sha256}/{filename}")
        if not path.is_file():
            raise NotListedError(f"the wheel {filename} is not in {self.folder}")
        return read_wheel(filename, path.read_bytes())

    def tile(self, path: str) -> bytes:
        file = self._inside(f"log/tile/{path}")
        if not file.is_file():
            raise UntrustedError(f"the log in {self.folder} lacks its tile {path}")
        return file.read_bytes()

    def search(self, text: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._json("v0.1/servers")["servers"]
        words = text.lower()
        return [one for one in found if words in json.dumps(one["server"]).lower() and _is_latest(one)]

    def _json(self, path: str) -> Any:
        file = self._inside(path) / "index.json"
        if not file.is_file():
            raise NotListedError(f"{path} is not in {self.folder}", hint="`search` lists what there is")
        return json.loads(file.read_text(encoding="utf-8"))

    def _inside(self, path: str) -> Path:
        target = (self.folder / path).resolve()
        if not target.is_relative_to(self.folder.resolve()):
            raise UntrustedError(f"{path[:80]!r} leads outside of {self.folder}")
        return target


def _is_latest(entry: dict[str, Any]) -> bool:
    return bool(entry["_meta"]["io.modelcontextprotocol.registry/official"]["isLatest"])


@contextmanager
def open_source(place: str, key: Verifier) -> Iterator[Source]:
    """A source by its address, folder or bundle; a bundle's own list of files is verified first."""
    if place.startswith(("http://", "https://")):
        yield HttpSource(place)
        return
    path = Path(place)
    if path.is_dir():
        yield _folder(path)
        return
    if not path.is_file():
        raise BadQuestionError(f"{place} is no address, folder or bundle", hint="For example: --from skills.zip")
    with tempfile.TemporaryDirectory() as scratch:
        _unpack(path, Path(scratch), key)
        yield _folder(Path(scratch))


def _folder(path: Path) -> FolderSource:
    dependencies = path / "dependencies"
    return FolderSource(path, (dependencies,) if dependencies.is_dir() else ())


def _unpack(bundle: Path, into: Path, key: Verifier) -> None:
    """Only files that the registry's signed list names, with the hashes it names; each within the folder."""
    try:
        with zipfile.ZipFile(bundle) as archive:
            statement = unsealed(json.loads(archive.read(BUNDLE_FILE)), key)
            expected = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
            names = set(archive.namelist()) - {BUNDLE_FILE}
            if statement["predicateType"] != BUNDLE or names != expected.keys():
                raise UntrustedError("the bundle holds other files than its signed list names")
            for name in sorted(names):
                target = (into / name).resolve()
                content = archive.read(name)
                if hashlib.sha256(content).hexdigest() != expected[name] or not target.is_relative_to(into.resolve()):
                    raise UntrustedError(f"{name[:80]!r} in the bundle is not what was signed")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise UntrustedError(f"{bundle} is not a bundle: {error}"[:200]) from error
