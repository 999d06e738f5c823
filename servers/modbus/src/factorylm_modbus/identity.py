"""Who a device says it is: FC43/14, Read Device Identification (Modbus Application Protocol V1.1b3, 6.21)."""

from factorylm_schema import BadReplyError, Identity, Value

from factorylm_modbus import pdu
from factorylm_modbus.session import Session

_REGULAR, _BASIC = 2, 1
_MOST_PAGES = 16
_NAMES = {
    0: "vendor",
    1: "product_code",
    2: "revision",
    3: "vendor_url",
    4: "product_name",
    5: "model_name",
    6: "application",
}


async def identity_of(session: Session, unit: int, deadline: float) -> Identity:
    """What the device tells; empty where it refuses the service."""
    for level in (_REGULAR, _BASIC):
        texts = await _texts(session, unit, level, deadline)
        if texts:
            return _identity(texts)
    return Identity()


async def _texts(session: Session, unit: int, level: int, deadline: float) -> dict[str, str]:
    """The objects of one level by name; empty where the device refuses."""
    texts: dict[str, str] = {}
    following = 0
    for _ in range(_MOST_PAGES):
        [answer] = await session.ask([pdu.identification(unit, level, following)], deadline)
        if not isinstance(answer, bytes):
            return texts
        more, next_, objects = _page(answer)
        texts.update({_NAMES.get(number, f"object_{number}"): text for number, text in objects})
        if not more or next_ <= following:
            return texts
        following = next_
    return texts


def _page(answer: bytes) -> tuple[bool, int, list[tuple[int, str]]]:
    """Type, level, conformity, more, next, count; then objects of number, length, text."""
    objects: list[tuple[int, str]] = []
    at = 6
    try:
        for _ in range(answer[5]):
            number, length = answer[at], answer[at + 1]
            text = answer[at + 2 : at + 2 + length]
            if len(text) != length:
                break
            objects.append((number, text.decode("utf-8", "replace").strip("\0 ")))
            at += 2 + length
    except IndexError:
        pass
    if len(answer) < 6 or len(objects) != answer[5] or at != len(answer):
        raise BadReplyError("the device's identification ends in the middle of an object")
    return answer[3] == 0xFF, answer[4], objects


def _identity(texts: dict[str, str]) -> Identity:
    product = texts.get("product_name") or texts.get("model_name") or texts.get("product_code", "")
    details: dict[str, Value] = {
        name: text for name, text in texts.items() if name not in ("vendor", "revision") and text and text != product
    }
    return Identity(
        vendor=texts.get("vendor", ""), product=product, revision=texts.get("revision", ""), details=details
    )
