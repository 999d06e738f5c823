"""The heads of logs that this user has seen: a registry that takes back or rewrites its past is found out."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from factorylm_registry.listing import instant
from factorylm_registry.merkle import Node, consistency_proof, verify_consistency
from factorylm_registry.refusals import UntrustedError
from factorylm_registry.signatures import Verifier, b64, unb64
from factorylm_registry.sources import Source
from factorylm_registry.tile_log import Checkpoint, nodes_of_tiles


@dataclass(frozen=True)
class Heads:
    """One head for each registry's key, in a file."""

    file: Path

    def accept(self, new: Checkpoint, key: Verifier, source: Source, at: datetime, *, older: bool = False) -> str:
        """Refuse a log that does not continue what was seen; remember the longer one. A sentence for the person."""
        known = self._read()
        kept = known.get(str(key))
        if kept is None:
            said = f"this is the first head of {key.name}'s log seen here"
        else:
            old = Checkpoint(key.name, int(kept["size"]), unb64(kept["root"]))
            if new.size < old.size and older:
                return f"older than what was seen on {kept['seen'][:10]}: {old.size - new.size} entries are missing"
            refuse_other_past(old, new, nodes_of_tiles(source.tile, new.size))
            said = f"the log continues the one seen on {kept['seen'][:10]}: {new.size - old.size} entries more"
        self._write({**known, str(key): {"size": new.size, "root": b64(new.root), "seen": instant(at)}})
        return said

    def _read(self) -> dict[str, Any]:
        if not self.file.is_file():
            return {}
        known: dict[str, Any] = json.loads(self.file.read_text(encoding="utf-8"))
        return known

    def _write(self, known: dict[str, Any]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        waiting = self.file.with_suffix(".partial")
        waiting.write_text(json.dumps(known, indent=1), encoding="utf-8")
        waiting.replace(self.file)


def refuse_other_past(old: Checkpoint, new: Checkpoint, node: Node) -> None:
    """Raises UntrustedError unless the new log is the old one with entries added."""
    if new.size < old.size:
        hint = "Ask its operator. An older bundle or copy is taken with --older"
        raise UntrustedError(f"the log has {new.size} entries, but {old.size} were seen before: it was cut", hint=hint)
    proof = consistency_proof(old.size, new.size, node)
    if not verify_consistency(old.size, new.size, old.root, new.root, proof):
        hint = "It shows different people different logs, or was rewritten: install nothing, tell others"
        raise UntrustedError(f"the log is not a continuation of the {old.size} entries seen before", hint=hint)
