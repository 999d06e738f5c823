"""What a controller has, as rows to copy into a plant file: tags, programs, structure members."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from factorylm_schema import UnknownNameError, Value
from factorylm_skill.driver import BrowsePage
from factorylm_skill.paging import page

from factorylm_enip.address import AddressError, parse, sayable
from factorylm_enip.catalog import Catalog, StructureMember, Symbol, type_name
from factorylm_enip.session import Session

COLUMNS = ["address", "type", "access", "below"]
Row = list[Value | None]


@dataclass(frozen=True, kw_only=True)
class _Entry:
    address: str
    of: Symbol | StructureMember | None
    access: str

    def row(self, session: Session, catalog: Catalog) -> Row:
        """One line; a structure's name is asked for only when its line is shown."""
        if self.of is None:
            return [self.address, "program", "", "tags"]
        if self.of.code is None:
            catalog.structure(session, self.of.template)
        known = catalog.structures.get(self.of.template) if self.of.code is None else None
        below = "members" if known is not None and known.capacity is None else ""
        return [self.address, type_name(self.of, catalog.structures), self.access, below]


def browse(session: Session, catalog: Catalog, path: str, search: str, limit: int, cursor: str) -> BrowsePage:
    """Below "" the controller's tags and programs, below a program its tags, below a structure its members.

    A search below "" looks through the tags of all programs too.
    """
    if not cursor and not path and not search:
        catalog.clear()  # a new look: a download may have changed everything
    entries = list(_below(session, catalog, path.strip(), deep=bool(search)))
    word = search.lower()
    found = [entry for entry in entries if word in entry.address.lower()]
    shown, next_cursor = page(found, limit, cursor, f"{path}\n{search}")
    return BrowsePage(columns=COLUMNS, rows=[entry.row(session, catalog) for entry in shown], cursor=next_cursor)


def _below(session: Session, catalog: Catalog, path: str, *, deep: bool) -> Iterable[_Entry]:
    if not path:
        return _controller(session, catalog, deep=deep)
    program = path.partition(":")[2] if path.lower().startswith("program:") else ""
    if program and "." not in program:
        return _program(session, catalog, program)
    return _members(session, catalog, path)


def _controller(session: Session, catalog: Catalog, *, deep: bool) -> Iterator[_Entry]:
    scope = catalog.scope(session)
    yield from _tags(scope.symbols.values())
    for program in scope.programs:
        if deep:
            yield from _program(session, catalog, program)
        else:
            yield _Entry(address=f"Program:{program}", of=None, access="")


def _program(session: Session, catalog: Catalog, program: str) -> Iterator[_Entry]:
    known = catalog.scope(session).programs
    own = next((name for name in known if name.lower() == program.lower()), None)
    if own is None:
        raise UnknownNameError("program", program, sayable(known))
    yield from _tags(catalog.scope(session, own).symbols.values(), f"Program:{own}.")


def _tags(symbols: Iterable[Symbol], prefix: str = "") -> Iterator[_Entry]:
    for symbol in symbols:
        yield _Entry(address=prefix + symbol.name, of=symbol, access=symbol.access)


def _members(session: Session, catalog: Catalog, path: str) -> Iterator[_Entry]:
    try:
        address = parse(path)
    except AddressError as error:
        raise UnknownNameError("path", path, ["Program:Main", "Motor", "Motor.Drive"], hint=str(error)) from error
    found = catalog.resolve(session, address)
    if found is None:
        missing, names = catalog.missing(session, address)
        raise UnknownNameError("tag or member", missing or path, sayable(names))
    if found.code is None:
        for member in catalog.structure(session, found.template).visible:
            yield _Entry(address=f"{address.text}.{member.name}", of=member, access="")
    else:
        access = found.access if isinstance(found, Symbol) else ""
        yield _Entry(address=address.text, of=found, access=access)
