"""What a domain shows to the internet: TXT records over DNS, and its well-known file over HTTPS."""

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection

from factorylm_registry.publishers import Method
from factorylm_registry.refusals import NotProvenError

WELL_KNOWN = "/.well-known/mcp-registry-auth"
_TIMEOUT_S = 5.0
_MOST_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Internet:
    """Looks at domains; `name_servers` and `inside` are for plants with a network of their own.

    A domain that resolves to this machine or a private network is not asked (SSRF), unless `inside` allows it.
    """

    name_servers: tuple[tuple[str, int], ...] = ()
    inside: bool = False
    https_port: int = 443
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def texts(self, domain: str, method: Method) -> Sequence[str]:
        return self._records(domain) if method == "dns" else self._well_known(domain)

    def _records(self, domain: str) -> list[str]:
        import dns.exception
        import dns.resolver

        resolver = dns.resolver.Resolver(configure=not self.name_servers)
        resolver.lifetime = _TIMEOUT_S
        if self.name_servers:
            resolver.nameservers = [host for host, _ in self.name_servers]
            resolver.port = self.name_servers[0][1]
        try:
            answer = resolver.resolve(domain, "TXT", search=False)
        except dns.exception.DNSException as error:
            hint = "Add the record, or wait until name servers know it"
            raise NotProvenError(f"{domain} has no TXT record: {type(error).__name__}", hint=hint) from error
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]

    def _well_known(self, domain: str) -> list[str]:
        """Redirects are not followed: another host does not speak for this one."""
        hint = f"Serve the line at https://{domain}{WELL_KNOWN}"
        try:
            connection = HTTPSConnection(domain, self.https_port, timeout=_TIMEOUT_S, context=self.tls)
            # connected to the address that was looked at, not to what the name says a moment later
            raw = socket.create_connection((self._address(domain), self.https_port), _TIMEOUT_S)
            connection.sock = self.tls.wrap_socket(raw, server_hostname=domain)
            with connection.sock:
                connection.request("GET", WELL_KNOWN, headers={"Host": domain})
                answer = connection.getresponse()
                content = answer.read(_MOST_BYTES)
        except (OSError, HTTPException) as error:
            raise NotProvenError(f"{domain} does not show its key: {error}"[:200], hint=hint) from error
        if answer.status != 200:
            raise NotProvenError(f"{domain} answers {answer.status} for {WELL_KNOWN}", hint=hint)
        return content.decode("utf-8", "replace").splitlines()

    def _address(self, domain: str) -> str:
        found = socket.getaddrinfo(domain, self.https_port, type=socket.SOCK_STREAM)
        address = str(found[0][4][0])
        if not self.inside and not ipaddress.ip_address(address).is_global:
            raise NotProvenError(f"{domain} is inside a private network", hint="The operator may allow it: --inside")
        return address
