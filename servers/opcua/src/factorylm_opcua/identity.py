"""Who the server says it is: product, version, state and clock."""

from factorylm_schema import Identity, Value

from factorylm_opcua.datavalue import Sample
from factorylm_opcua.library import ua
from factorylm_opcua.session import Session, read_parameters

_IDS = ua.ObjectIds
_NODES = {
    "vendor": _IDS.Server_ServerStatus_BuildInfo_ManufacturerName,
    "product": _IDS.Server_ServerStatus_BuildInfo_ProductName,
    "revision": _IDS.Server_ServerStatus_BuildInfo_SoftwareVersion,
    "build": _IDS.Server_ServerStatus_BuildInfo_BuildNumber,
    "state": _IDS.Server_ServerStatus_State,
    "started": _IDS.Server_ServerStatus_StartTime,
    "server_time": _IDS.Server_ServerStatus_CurrentTime,
}

# OPC 10000-5, 12.6 ServerState
STATES = ("running", "failed", "no configuration", "suspended", "shut down", "test", "communication fault", "unknown")


async def read_identity(session: Session) -> Identity:
    """One request; what the server does not tell stays empty."""
    samples = await session.read(read_parameters(ua.NodeId(number) for number in _NODES.values()))
    told = {name: _told(sample) for name, sample in zip(_NODES, samples, strict=True)}
    told["state"] = state_text(told["state"])
    details: dict[str, Value] = {
        name: value for name in ("build", "state", "started", "server_time") if (value := told[name]) != ""
    }
    return Identity(
        vendor=str(told["vendor"]), product=str(told["product"]), revision=str(told["revision"]), details=details
    )


def state_text(number: Value) -> str:
    """The server's state in a word."""
    known = isinstance(number, int) and 0 <= number < len(STATES)
    return STATES[int(number)] if known else ""


def _told(sample: Sample) -> Value:
    good = sample.status >> 30 == 0 and isinstance(sample.value, bool | int | float | str)
    return sample.value if good else ""  # type: ignore[return-value]
