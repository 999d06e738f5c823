"""Who the controller says it is: ListIdentity's answer and the identity object's status word."""

from collections.abc import Mapping

from factorylm_schema import DeviceRefusedError, Identity, Value

from factorylm_enip.session import Session

# The status word of a Logix controller: what it does, and where its key stands (as pycomm3's KEYSWITCH)
_DOES = {0x60: "run", 0x70: "program"}
_KEY = {0x10: "run", 0x20: "program", 0x30: "remote"}


def identity_of(session: Session) -> Identity:
    """The controller behind the route; where it does not tell, the device at the address."""
    try:
        return told_identity(session.identity_at())
    except DeviceRefusedError:
        return told_identity(session.identity)


def told_identity(found: Mapping[str, object]) -> Identity:
    """pycomm3's dictionary in our words."""
    revision = found.get("revision")
    parts = revision if isinstance(revision, dict) else {}
    details: dict[str, Value] = {"product type": str(found.get("product_type", "")), "mode": mode(found)}
    return Identity(
        vendor=str(found.get("vendor", "")),
        product=str(found.get("product_name", "")),
        revision=f"{parts.get('major', 0)}.{parts.get('minor', 0):03d}" if parts else "",
        serial=str(found.get("serial", "")),
        details={name: value for name, value in details.items() if value},
    )


def mode(found: Mapping[str, object]) -> str:
    """The key switch and the mode, as far as the status word says: `remote run`."""
    status = found.get("status")
    if not isinstance(status, bytes) or len(status) != 2:
        return ""
    doing, position = _DOES.get(status[0] & 0xF0, ""), _KEY.get(status[1] & 0xF0, "")
    return doing if position == doing else f"{position} {doing}".strip()
