"""The journals an assistant has loaded: read once, then asked by handle. The least used one is let go of first."""

from collections import Counter, OrderedDict
from pathlib import Path
from threading import Lock

from factorylm_schema import BadRequestError, UnknownNameError
from factorylm_skill.untrusted import told_to_the_model

from factorylm_alarms.analysis import Analysis, analyse
from factorylm_alarms.errors import LogError, UnsafeFileError
from factorylm_alarms.files import JOURNAL_SUFFIXES, allowed_path
from factorylm_alarms.journal import read_journal
from factorylm_alarms.told import name_told

KEPT = 4
MOST_FILES = 10_000


class LoadedLogs:
    """Only files below `folders` can be loaded."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self.folders = folders
        self.kept: OrderedDict[str, Analysis] = OrderedDict()
        self.lock = Lock()

    def files(self) -> list[tuple[str, int]]:
        """(name below its folder, bytes) of everything that looks like a journal."""
        found: list[tuple[str, int]] = []
        for folder in self._folders():
            paths = [path for path in sorted(folder.rglob("*"))[:MOST_FILES] if path.is_file()]
            journals = [path for path in paths if path.suffix.lower() in JOURNAL_SUFFIXES]
            found += [(str(path.relative_to(folder)), path.stat().st_size) for path in journals]
        return found

    def path_of(self, name: str) -> Path:
        """The file of this name in one of the folders; the nearest names are told when there is none."""
        unsafe: UnsafeFileError | None = None
        for folder in self._folders():
            try:
                return allowed_path(name, folder)
            except UnsafeFileError as error:
                unsafe = error
            except LogError:
                continue
        if unsafe is not None:
            raise unsafe
        raise UnknownNameError("journal", told_to_the_model(name), [file for file, _ in self.files()])

    def load(self, name: str, *, day_first: bool | None, mapping: str) -> Analysis:
        """Read and analyse; takes as long as the journal is long."""
        journal = read_journal(
            [self.path_of(name)], mapping_file=self.path_of(mapping) if mapping else None, day_first=day_first
        )
        analysis = analyse(journal)
        with self.lock:
            self.kept[journal.log_id] = analysis
            self.kept.move_to_end(journal.log_id)
            while len(self.kept) > KEPT:
                self.kept.popitem(last=False)
        return analysis

    def get(self, log_id: str) -> Analysis:
        """The analysis behind a handle."""
        with self.lock:
            if log_id not in self.kept:
                raise UnknownNameError("loaded log", log_id, self.kept, hint="load it with alarms_load_log")
            self.kept.move_to_end(log_id)
            return self.kept[log_id]

    def _folders(self) -> tuple[Path, ...]:
        if not self.folders:
            raise BadRequestError(
                "no folder of journals is open", hint="the operator starts the server with --data DIR"
            )
        return self.folders


def _shown_names(names: dict[str, int]) -> dict[str, int]:
    """Names as answers show them; a shortened one that fits two alarms names neither."""
    shown: dict[str, int] = {}
    shortened = Counter(name_told(name) for name in names)
    for name, number in names.items():
        shown[told_to_the_model(name)] = number
        if shortened[name_told(name)] == 1:
            shown[name_told(name)] = number
    return shown


def alarm_called(analysis: Analysis, name: str) -> int:
    """The alarm of this name, as the plant writes it or as answers show it."""
    names = {alarm.name: number for number, alarm in enumerate(analysis.journal.alarms)}
    if name not in names:
        names = _shown_names(names)
    if name not in names:
        raise UnknownNameError("alarm", name, names, hint="take a name from alarms_rank_alarms")
    return names[name]
