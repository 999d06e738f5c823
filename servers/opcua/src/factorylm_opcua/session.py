"""One connection to one server: channel, session, namespaces, limits, and requests whose answers are checked.

asyncua does the encoding, the security and the sockets. Its own watchdog and reconnect are not used: a
connection here has one owner, sends nothing by itself, and after any doubt is dropped.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

from factorylm_schema import BadReplyError, DeviceRefusedError, NotConnectedError, Quality

from factorylm_opcua.address import NodeAddress
from factorylm_opcua.datavalue import READ_RESPONSE, MalformedReplyError, Sample, decode_reply
from factorylm_opcua.endpoint import Endpoint
from factorylm_opcua.failures import Progress, RefusedError, Step, told
from factorylm_opcua.library import Client, EndpointDescription, NodeId, ReadParameters, ua, ua_binary
from factorylm_opcua.nodes import to_address, to_node_id
from factorylm_opcua.plan import UNSTATED, Limits
from factorylm_opcua.security import (
    MODES,
    POLICIES,
    choose_endpoint,
    own_identification,
    trusted_certificate,
    user_pair,
    user_token_fault,
)

T = TypeVar("T")

_IDS = ua.ObjectIds
_KINDS = (b"MSG", b"OPN", b"CLO", b"ACK", b"ERR")  # OPC 10000-6, 7.1.2.2
_LIMIT_NODES = {
    "read": _IDS.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    "browse": _IDS.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    "monitored_items": _IDS.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
}


@dataclass(frozen=True)
class Offer:
    """What a server says before anybody has signed in."""

    endpoints: list[EndpointDescription]
    server_time: datetime | None


@dataclass(kw_only=True)
class Session:
    """An activated session.

    `namespaces` are the URIs in this session's numbering; `pinned` is what a number meant when this program
    first saw it. What is learned about nodes is `remembered` until the connection ends.
    """

    client: Any
    endpoint: Endpoint
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    pinned: Mapping[int, str] = field(default_factory=dict)
    namespaces: list[str] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    remembered: dict[Any, Any] = field(default_factory=dict)
    _channel_since: float = field(default_factory=monotonic)
    distrusted: bool = False
    _closing: bool = False

    # -- requests -----------------------------------------------------------------------------

    async def call(self, request: Any, answer: type[T], *, timeout_s: float | None = None) -> T:
        """Send one request; its answer, which is checked to be this request's.

        Raises RefusedError for a service fault, and NotConnectedError, DeviceTimeoutError or BadReplyError
        after which this session must be dropped.
        """
        data = await self._exchange(request, timeout_s)
        try:
            reply: Any = ua_binary.struct_from_binary(answer, data)
        except Exception as error:  # asyncua raises whatever the bytes lead it to
            raise self.misfit(f"{answer.__name__} cannot be decoded") from error
        if len(data) or reply.TypeId != _encoding_of(answer):
            raise self.misfit(f"it is not a whole {answer.__name__}")
        self._check_handle(request, reply.ResponseHeader.RequestHandle)
        if not reply.ResponseHeader.ServiceResult.is_good():
            raise RefusedError(reply.ResponseHeader.ServiceResult.value, _name(request))
        return reply  # type: ignore[no-any-return]

    async def read(self, nodes: ReadParameters, *, timeout_s: float | None = None) -> list[Sample]:
        """One sample per node to read."""
        request = ua.ReadRequest(Parameters=nodes)
        data = await self._exchange(request, timeout_s)
        try:
            reply = decode_reply(data.read(len(data)))
        except MalformedReplyError as error:
            raise self.misfit(f"a Read answer cannot be decoded: {error}") from error
        self._check_handle(request, reply.handle)
        if reply.result:
            raise RefusedError(reply.result, "Read")
        if reply.service != READ_RESPONSE or len(reply.samples) != len(nodes.NodesToRead):
            asked = len(nodes.NodesToRead)
            raise self.misfit(f"{len(reply.samples)} values came back for {asked} asked")
        return reply.samples

    async def _exchange(self, request: Any, timeout_s: float | None) -> Any:
        protocol = self.client.uaclient.protocol
        if protocol is None:
            raise NotConnectedError(f"the connection to {self.endpoint.place} is closed", hint="Try again")
        try:
            await self._renew()
            return await protocol.send_request(request, timeout_s or self.endpoint.timeout_s)
        except Exception as error:  # asyncua raises whatever happens below it
            raise told(
                error, Step.SERVICE, self.endpoint.place, doing=_name(request), distrusted=self.distrusted
            ) from error

    async def _renew(self) -> None:
        """New keys after three quarters of the channel's life (OPC 10000-4, 5.5.2.1)."""
        if monotonic() - self._channel_since < self.client.secure_channel_timeout * 0.75 / 1000:
            return
        self._channel_since = monotonic()
        await self.client.open_secure_channel(renew=True)
        self.client.uaclient.revolve_security_token()

    def _check_handle(self, request: Any, handle: int) -> None:
        if handle != request.RequestHeader.RequestHandle:
            raise self.misfit("it belongs to another request")

    def misfit(self, why: str) -> BadReplyError:
        """The error for an answer that does not fit its question."""
        return BadReplyError(
            f"the answer of {self.endpoint.place} was thrown away: {why}",
            hint="Try again; if it stays so, look for a second program or a proxy on the line",
        )

    # -- nodes --------------------------------------------------------------------------------

    def node_id(self, address: NodeAddress) -> NodeId:
        """The node of `address` in this session's numbering; raises ValueError for an unknown namespace."""
        uri = address.uri or self.pinned.get(address.number, "")
        if not uri and address.number >= len(self.namespaces):
            raise ValueError(f"the server has no namespace number {address.number}")
        if uri and uri not in self.namespaces:
            raise ValueError(f"the server has no namespace {uri!r}")
        index = self.namespaces.index(uri) if uri else address.number
        return to_node_id(address, index)

    def canonical(self, address: NodeAddress) -> NodeAddress:
        """The same node by its namespace's URI, where only a number was given."""
        if address.uri or not address.number:
            return address
        uri = self.pinned.get(address.number) or dict(enumerate(self.namespaces)).get(address.number, "")
        return replace(address, uri=uri, number=0 if uri else address.number)

    def address(self, node: NodeId) -> NodeAddress:
        """The address of a node, by its namespace's URI."""
        index = node.NamespaceIndex
        uri = getattr(node, "NamespaceUri", None) or ""
        if not uri and 0 < index < len(self.namespaces):
            uri = self.namespaces[index]
        return to_address(node, uri, 0 if uri else index)

    # -- end ----------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """The socket has not been closed by anybody."""
        protocol = self.client.uaclient.protocol
        return protocol is not None and protocol.transport is not None

    async def close(self) -> None:
        """Give the server its session back, then hang up."""
        self._closing = True
        try:
            if self.is_open:
                async with asyncio.timeout(1.0):
                    await self.client.close_session()
                    await self.client.close_secure_channel()
        except Exception:
            logging.getLogger("factorylm").debug("closing %s", self.endpoint.place, exc_info=True)
        finally:
            self.drop()

    def drop(self) -> None:
        """Hang up without a word: nothing that still arrives is heard."""
        self._closing = True
        self.client.disconnect_socket()

    def guard(self) -> None:
        """Learn that asyncua hangs up by itself, and make it do so over bytes that are no message.

        It logs why and tells the waiting request only 'lost'; and for a message of an unknown kind and
        enormous size it waits until the timeout.
        """
        protocol = self.client.uaclient.protocol
        assert protocol is not None
        hang_up, receive = protocol.disconnect_socket, protocol.data_received

        def noted() -> None:
            self.distrusted = not self._closing
            hang_up()

        def checked(data: bytes) -> None:
            receive(data)
            rest = protocol.receive_buffer or b""
            if rest[:3] not in (_KINDS if len(rest) > 2 else (rest[:3],)):
                noted()

        protocol.disconnect_socket = noted
        protocol.data_received = checked


# -- opening ------------------------------------------------------------------------------------


async def open_session(
    endpoint: Endpoint, *, pinned: Mapping[int, str] | None = None, progress: Progress | None = None
) -> Session:
    """Connect, secure, sign in, and learn namespaces and limits, all within the device's timeout."""
    progress = progress or Progress()
    session = Session(client=_client(endpoint), endpoint=endpoint, pinned=pinned or {})
    try:
        async with asyncio.timeout(endpoint.timeout_s):
            if endpoint.secured:
                offer = await ask_endpoints(endpoint, progress)
                _secure(session, choose_endpoint(offer.endpoints, endpoint), progress)
            await _connected(session, progress)
            progress.step = Step.SESSION
            await session.client.create_session()
            progress.step = Step.SIGN_IN
            await _sign_in(session)
            progress.step = Step.NAMESPACES
            await _learn(session)
    except BaseException as error:
        session.drop()
        if isinstance(error, asyncio.CancelledError):
            raise
        raise told(error, progress.step, endpoint.place, distrusted=session.distrusted) from error
    return session


async def ask_endpoints(endpoint: Endpoint, progress: Progress) -> Offer:
    """What the server offers, asked over a channel of its own without security."""
    session = Session(client=_client(endpoint), endpoint=endpoint)
    try:
        await _connected(session, progress)
        progress.step = Step.ENDPOINTS
        request = ua.GetEndpointsRequest()
        request.Parameters.EndpointUrl = endpoint.full_url
        reply = await session.call(request, ua.GetEndpointsResponse)
        await session.client.close_secure_channel()
    except Exception as error:
        raise told(error, progress.step, endpoint.place, distrusted=session.distrusted) from error
    finally:
        session.drop()
    return Offer(reply.Endpoints or [], _aware(reply.ResponseHeader.Timestamp))


def _client(endpoint: Endpoint) -> Any:
    client = Client(endpoint.full_url, timeout=endpoint.timeout_s)
    client.name = client.description = "FactoryLM"
    client.product_uri = "urn:factorylm:opcua"
    # a server has few sessions: one that was left without a word is free again after two minutes
    client.session_timeout = 120_000
    client.application_uri = endpoint.application_uri or "urn:factorylm:opcua"
    return client


async def _connected(session: Session, progress: Progress) -> None:
    progress.step = Step.CONNECT
    await session.client.connect_socket()
    session.guard()
    progress.step = Step.HELLO
    await session.client.send_hello()
    progress.step = Step.CHANNEL
    await session.client.open_secure_channel()


def _secure(session: Session, description: EndpointDescription, progress: Progress) -> None:
    endpoint, client = session.endpoint, session.client
    progress.step = Step.TRUST
    certificate = trusted_certificate(description, endpoint, datetime.now(UTC))
    progress.step = Step.OWN
    own = own_identification(endpoint, datetime.now(UTC))
    client.application_uri = own.application_uri
    policy = POLICIES[endpoint.policy](certificate, own.certificate, own.key, MODES[endpoint.mode])
    client.security_policy = policy
    client.uaclient.set_security(policy)


async def _sign_in(session: Session) -> None:
    client, endpoint = session.client, session.endpoint
    user = endpoint.user()
    if user:
        policy = client.server_policy(ua.UserTokenType.UserName)
        fault = user_token_fault(policy, client.security_policy.Mode, client.security_policy.URI)
        if fault:
            raise DeviceRefusedError(
                f"{fault}, so it was not sent",
                hint='Set security = "Basic256Sha256" and mode = "sign-and-encrypt"',
                quality=Quality.BadConfigurationError,
            )
        await client.activate_session(username=user[0], password=user[1])
    elif endpoint.user_certificate and endpoint.user_private_key:
        client.user_certificate, client.user_private_key = user_pair(endpoint)
        await client.activate_session(certificate=client.user_certificate)
    else:
        await client.activate_session()


async def _learn(session: Session) -> None:
    """Namespaces and operation limits, in one request."""
    wanted = [_IDS.Server_NamespaceArray, *_LIMIT_NODES.values()]
    samples = await session.read(read_parameters(ua.NodeId(number) for number in wanted))
    uris = samples[0].value
    if samples[0].status >> 30 or not isinstance(uris, list):
        raise BadReplyError(f"{session.endpoint.place} does not list its namespaces", hint="Run diagnose")
    session.namespaces = [str(uri) for uri in uris]
    stated = {name: _stated(sample) for name, sample in zip(_LIMIT_NODES, samples[1:], strict=True)}
    most = session.endpoint.max_nodes_per_read
    if most:
        stated["read"] = min(stated["read"], most)
    session.limits = Limits(**stated)


def read_parameters(nodes: Any, attribute: int = ua.AttributeIds.Value) -> ReadParameters:
    """Parameters that read one attribute of each node, fresh from the source, with its time."""
    attribute = ua.AttributeIds(attribute)
    return ua.ReadParameters(
        MaxAge=0.0,
        TimestampsToReturn=ua.TimestampsToReturn.Source,
        NodesToRead=[ua.ReadValueId(NodeId=node, AttributeId=attribute) for node in nodes],
    )


def _stated(sample: Sample) -> int:
    usable = sample.status >> 30 == 0 and isinstance(sample.value, int) and sample.value > 0
    return min(int(sample.value), UNSTATED * 10) if usable else UNSTATED  # type: ignore[arg-type]


def _encoding_of(answer: type) -> NodeId:
    found: NodeId = ua.NodeId(getattr(_IDS, f"{answer.__name__}_Encoding_DefaultBinary"))
    return found


def _name(request: Any) -> str:
    return type(request).__name__.removesuffix("Request")


def _aware(time: datetime | None) -> datetime | None:
    if time is None or time.year < 1970:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
