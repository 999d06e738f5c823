"""What one controller has taught so far: kinds of tags, its lists, plans made before, and who is suspect."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from factorylm_schema import DeviceRefusedError, Quality

from factorylm_enip.address import Address
from factorylm_enip.catalog import Catalog, Structure, UploadUnfinishedError
from factorylm_enip.plan import Packet
from factorylm_enip.session import Session
from factorylm_enip.values import STRING, STRING_HANDLE, STRUCTURE, Kind, atomic_kind
from factorylm_enip.wanted import Problem

_MOST_PLANS = 64
_PlanKey = tuple[int, bool, tuple[str, ...]]


@dataclass
class Memory:
    """Kinds outlive a connection, because every answer names its type and corrects them; lists do not."""

    catalog: Catalog = field(default_factory=Catalog)
    plans: dict[_PlanKey, list[Packet]] = field(default_factory=dict)
    suspects: dict[str, bool] = field(default_factory=dict)  # True: ended a connection when asked for alone
    lists_are_safe: bool = True  # some servers hang up when asked for their tag list
    _kinds: dict[str, Kind] = field(default_factory=dict)
    _handles: dict[int, Kind] = field(default_factory=lambda: {STRING_HANDLE: STRING})

    def new_connection(self) -> None:
        """Another program may run by now."""
        self._handles = {STRING_HANDLE: STRING}
        self.catalog.clear()
        self.plans.clear()

    # -- kinds ----------------------------------------------------------------------------------

    def kind_at(self, address: Address) -> Kind | None:
        """What is known of one element at an address."""
        return self._kinds.get(address.array.key)

    def learn(self, address: Address, kind: Kind) -> None:
        """Remember what an array, or a value of its own, holds."""
        if self._kinds.get(address.key) != kind:
            self._kinds[address.key] = kind
            self.plans.clear()
        elif len(self.plans) > _MOST_PLANS:
            self.plans.clear()

    def forget(self, address: Address) -> None:
        """Ask anew what an array holds."""
        self._kinds.pop(address.key, None)
        self.plans.clear()

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
        code, handle = (int.from_bytes(answer[at : at + 2], "little") for at in (0, 2))
        return self._handles.get(handle) if code == STRUCTURE else atomic_kind(code)

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
        self._handles[handle] = structure.kind
        return structure.kind

    def _structure(self, session: Session, address: Address) -> Structure | None:
        found = self.catalog.resolve(session, address)
        if found is None or found.code is not None:
            return None
        return self.catalog.structure(session, found.template)

    # -- suspects -------------------------------------------------------------------------------

    def suspect(self, addresses: Iterable[Address]) -> None:
        """The connection was lost while these were asked for; a suspect that was alone is convicted."""
        keys = {address.key for address in addresses}
        self.suspects.update({key: len(keys) == 1 and key in self.suspects for key in keys})

    def trust(self, addresses: Iterable[Address]) -> None:
        """These were answered."""
        if self.suspects:
            for address in addresses:
                self.suspects.pop(address.key, None)

    def convicted(self, address: Address) -> bool:
        """Asked for alone, it ended a connection."""
        return self.suspects.get(address.key, False)


def _not_one_value(address: Address, structure: Structure) -> Problem:
    names = [member.name for member in structure.visible]
    some = ", ".join(f"{address.text}.{name}" for name in names[:4]) + (" …" if len(names) > 4 else "")
    text = f"{address.text} is a structure ({structure.name}), not one value"
    return Problem(Quality.BadTypeMismatch, text, f"Read its members: {some}")
