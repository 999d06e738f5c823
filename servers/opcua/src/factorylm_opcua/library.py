"""asyncua, for the rest of this package; importing this module is what costs time (about a second).

Seen as Any on purpose: asyncua's annotations call every int an `Int16` or `UInt32` of its own and export
nothing explicitly, so that a strict type checker would refuse `NodeId(2258, 0)`.
"""

import logging
from typing import Any, TypeAlias

import asyncua
from asyncua import ua as _ua
from asyncua.crypto import security_policies as _security_policies
from asyncua.ua import ua_binary as _ua_binary
from asyncua.ua import uaerrors as _uaerrors

ua: Any = _ua
Client: Any = asyncua.Client  # type: ignore[attr-defined]
security_policies: Any = _security_policies
ua_binary: Any = _ua_binary
StatusCodeError: Any = _uaerrors.UaStatusCodeError

NodeId: TypeAlias = Any
EndpointDescription: TypeAlias = Any
TokenPolicy: TypeAlias = Any
ReadParameters: TypeAlias = Any

# asyncua tells every lost connection several times, with tracebacks; the kit says it once
logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
