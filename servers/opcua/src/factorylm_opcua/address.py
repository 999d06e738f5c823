"""How a node is named: `nsu=urn:vendor:plant;s=Pump1.Speed`, by namespace URI; `;index=3` is one element.

Grammar after OPC 10000-6, 5.3.1.10 (NodeId as text) and 5.1.12 (`nsu=`). A namespace *number* may change when
the server restarts; a URI does not, so the URI is the canonical form and a number is only accepted.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote
from uuid import UUID

Kind = Literal["i", "s", "g", "b"]

OPC_FOUNDATION = "http://opcfoundation.org/UA/"
FORMS = "nsu=urn:vendor:plant;s=Pump1.Speed, nsu=urn:vendor:plant;i=1001, ns=2;s=Pump1.Speed, i=2258"

_ADDRESS = re.compile(r"(?:nsu=(?P<uri>[^;]+);|ns=(?P<number>\d{1,5});)?(?P<kind>[isgb])=(?P<identifier>.+)", re.DOTALL)
_ELEMENT = re.compile(r"(?P<rest>.+);index=(?P<element>\d{1,9}(?:,\d{1,9})*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class NodeAddress:
    """One node, or one element of its array.

    `uri` names the namespace; where only a number was given it is empty and `number` counts. `identifier` is
    an int for `i`, else text (`g`: lower-case UUID, `b`: base64).
    """

    kind: Kind
    identifier: int | str
    uri: str = ""
    number: int = 0
    element: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The canonical text; parsing it gives this address again."""
        element = f";index={','.join(map(str, self.element))}" if self.element else ""
        return f"{self._namespace}{self.kind}={self.identifier}{element}"

    @property
    def _namespace(self) -> str:
        if self.uri:
            # OPC 10000-6, 5.1.12: only ';' and '%' are escaped in the URI
            return f"nsu={quote(self.uri, safe=_SAFE)};"
        return f"ns={self.number};" if self.number else ""


_SAFE = "".join(chr(c) for c in range(33, 127) if chr(c) not in ";%")


def parse(text: str) -> NodeAddress:
    """The address in `text`; raises ValueError naming the allowed forms."""
    element: tuple[int, ...] = ()
    if found := _ELEMENT.fullmatch(text):
        text = found["rest"]
        element = tuple(int(part) for part in found["element"].split(","))
    found = _ADDRESS.fullmatch(text)
    if not found:
        raise ValueError(f"{text[:80]!r} is not an OPC UA address; write one of: {FORMS}")
    number = int(found["number"] or 0)
    if number > 0xFFFF:
        raise ValueError(f"namespace number {number} is above 65535")
    uri = unquote(found["uri"] or "")
    return NodeAddress(
        kind=_kind(found["kind"]),
        identifier=_identifier(found["kind"], found["identifier"]),
        uri="" if uri == OPC_FOUNDATION else uri,
        number=number,
        element=element,
    )


def _kind(letter: str) -> Kind:
    match letter:
        case "i" | "s" | "g" | "b":
            return letter
        case _:
            raise ValueError(f"{letter!r} is not a kind of identifier")


def _identifier(kind: str, text: str) -> int | str:
    if kind == "i":
        return _number(text)
    if kind == "g":
        return _guid(text)
    if kind == "b":
        return _opaque(text)
    if len(text) > 4096:  # OPC 10000-3, 8.2.4: the longest string identifier
        raise ValueError("a string identifier has at most 4096 characters")
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:11]) > 0xFFFFFFFF:
        raise ValueError(f"i={text[:20]} is not a number from 0 to 4294967295; a name is written s={text[:20]}")
    return int(text)


def _guid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError(f"g={text[:40]} is not a GUID like 09087e75-8e5e-499b-954f-f2a9603db28a") from None


def _opaque(text: str) -> str:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode()
    except (binascii.Error, ValueError):
        raise ValueError(f"b={text[:40]} is not base64") from None
