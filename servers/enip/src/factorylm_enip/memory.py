"""What one controller has taught so far: kinds of tags, its lists, the last plan, and who is suspect."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import is_

from factorylm_schema import DeviceRefusedError, Quality, Tag

from factorylm_enip.address import Address, AddressError, sayable
from factorylm_enip.catalog import Catalog, Structure, UploadUnfinishedError
from factorylm_enip.plan import Packet
from factorylm_enip.session import Session
from factorylm_enip.values import ATOMIC_KINDS, STRING, STRUCTURE, Kind
from factorylm_enip.wanted import Problem, Wanted, wanted_of


@dataclass
class Layout:
    """The tags of a call and how they are asked for; kept for the next call, which mostly asks for the same."""

    tags: Sequence[Tag]
    wanted: dict[int, Wanted] = field(default_factory=dict)
    misnamed: dict[int, AddressError] = field(default_factory=dict)
    packets: list[Packet] | None = None
    room: int = 0

    def __post_init__(self) -> None:
        for number, tag in enumerate(self.tags):
            try:
                self.wanted[number] = wanted_of(tag)
            except AddressError as error:
                self.misnamed[number] = error

    def is_for(self, tags: Sequence[Tag]) -> bool:
        """The same tags in the same order."""
        return len(tags) == len(self.tags) and all(map(is_, tags, self.tags))


def _known_heads() -> dict[bytes, Kind]:
    """The first bytes of an answer: two name an elementary type, four a structure."""
    return {kind.prefix: kind for kind in (*ATOMIC_KINDS, STRING)}


@dataclass
class Memory:
    """Kinds outlive a connection, because every answer names its type and corrects them; lists do not."""

    catalog: Catalog = field(default_factory=Catalog)
    layout: Layout | None = None
    suspects: dict[str, bool] = field(default_factory=dict)  # True: ended a connection when asked for alone
    lists_are_safe: bool = True  # some servers hang up when asked for their tag list
    _kinds: dict[str, Kind] = field(default_factory=dict)
    _heads: dict[bytes, Kind] = field(default_factory=_known_heads)

    def new_connection(self) -> None:
        """Another program may run by now."""
        self._heads = _known_heads()
        self.catalog.clear()
        self._replan()

    def laid_out(self, tags: Sequence[Tag]) -> Layout:
        """The layout of these tags, planned or not."""
        if self.layout is None or not self.layout.is_for(tags):
            self.layout = Layout(list(tags))
        return self.layout

    # -- kinds ----------------------------------------------------------------------------------

    def kind_at(self, address: Address) -> Kind | None:
        """What is known of one element at an address."""
        return self._kinds.get(address.array.key)

    def learn(self, address: Address, kind: Kind) -> None:
        """Remember what an array, or a value of its own, holds."""
        if self._kinds.get(address.key) != kind:
            self._kinds[address.key] = kind
            self._replan()

    def forget(self, address: Address) -> None:
        """Ask anew what an array holds."""
        self._kinds.pop(address.key, None)
        self._replan()

    def kind_in(self, session: Session, address: Address, answer: bytes) -> Kind | Problem:
        """The kind that an answer names at its head."""
        if known := self.known_kind(answer):
            return known
        code, handle = (int.from_bytes(answer[at : at + 2], "little") for at in (0, 2))
        if code == STRUCTURE:
            return self._structure_kind(session, address, handle)
        text = f"{address.text} has the type 0x{code:02X}, which is not supported"
        return Problem(Quality.BadNotSupported, text, "browse shows the types of all tags")

    def known_kind(self, answer: bytes) -> Kind | None:
        """The kind at the head of an answer, where no question to the controller is needed."""
        return self._heads.get(answer[:2]) or self._heads.get(answer[:4])

    def _structure_kind(self, session: Session, address: Address, handle: int) -> Kind | Problem:
        """Whether a structure is a string type stands only in its layout."""
        try:
            structure = self._structure(session, address)
        except (UploadUnfinishedError, DeviceRefusedError) as error:
            return Problem(Quality.BadResourceUnavailable, error.message, error.hint)
        if structure is None or structure.handle != handle:
            self.catalog.clear()
            text = f"{address.text} is a structure whose layout the controller's lists do not show"
            return Problem(Quality.BadTypeMismatch, text, "Ask again: the lists are then read anew")
        if structure.capacity is None:
            return _not_one_value(address, structure)
        self._heads[structure.kind.prefix] = structure.kind
        return structure.kind

    def _structure(self, session: Session, address: Address) -> Structure | None:
        found = self.catalog.resolve(session, address)
        if found is None or found.code is not None:
            return None
        return self.catalog.structure(session, found.template)

    def _replan(self) -> None:
        if self.layout is not None:
            self.layout.packets = None

    # -- suspects -------------------------------------------------------------------------------

    def suspect(self, addresses: Iterable[Address]) -> None:
        """The connection was lost while these were asked for; a suspect that was alone is convicted."""
        keys = {address.key for address in addresses}
        self.suspects.update({key: len(keys) == 1 and key in self.suspects for key in keys})

    def trust(self, addresses: Iterable[Address]) -> None:
        """These were answered."""
        for address in addresses:
            self.suspects.pop(address.key, None)

    def convicted(self, address: Address) -> bool:
        """Asked for alone, it ended a connection."""
        return self.suspects.get(address.key, False)


def _not_one_value(address: Address, structure: Structure) -> Problem:
    names = sayable(member.name for member in structure.visible)
    some = ", ".join(f"{address.text}.{name}" for name in names[:4]) + (" …" if len(names) > 4 else "")
    text = f"{address.text} is a structure ({structure.name}), not one value"
    return Problem(Quality.BadTypeMismatch, text, f"Read its members: {some}")
