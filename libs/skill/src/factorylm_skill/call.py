"""One tool call as the tool sees it: who asks, and whether a person can be asked back."""

import hashlib
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.context import ServerRequestContext
from mcp_types.version import MODERN_PROTOCOL_VERSIONS


@dataclass(frozen=True)
class Call:
    """`context` and `params` are the SDK's; tools use the methods."""

    context: ServerRequestContext[Any, Any]
    params: types.CallToolRequestParams

    @property
    def principal(self) -> str:
        """Who asks: the token's owner over HTTP, the local user over stdio."""
        token = get_access_token()
        return token.client_id if token else "local"

    @property
    def client(self) -> str:
        """The client program's name as it introduced itself (a claim, for the audit trail only)."""
        params = self.context.session.client_params
        return params.client_info.name[:80] if params else ""

    @property
    def asks_between(self) -> bool:
        """True in the 2026-07-28 era: a question goes back as a result, and the call comes again."""
        return self.context.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def can_ask(self) -> bool:
        """The client declared that it can put a form before its user."""
        capabilities = self.context.session.client_capabilities
        elicitation = capabilities.elicitation if capabilities else None
        return elicitation is not None and (elicitation.form is not None or elicitation.url is None)

    async def ask(self, message: str, form: dict[str, Any]) -> types.ElicitResult:
        """Put `form` before the user and wait (connections up to 2025-11-25)."""
        return await self.context.session.elicit_form(message, form, self.context.request_id)

    async def progress(self, done: float, total: float, message: str = "") -> None:
        """Tell the client how far a long call is, if it asked to know."""
        await self.context.session.report_progress(done, total, message or None)

    @property
    def fingerprint(self) -> str:
        """Hash of who asks for what: binds an approval to exactly this call."""
        text = repr((self.principal, self.params.name, sorted((self.params.arguments or {}).items())))
        return hashlib.sha256(text.encode()).hexdigest()
