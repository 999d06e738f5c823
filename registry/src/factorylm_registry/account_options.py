"""The options of every command that changes something at a registry: where, who, and how that is proven."""

import argparse
from pathlib import Path

from factorylm_registry.publishing import AuthorAccount
from factorylm_registry.registry import now
from factorylm_registry.signatures import signer_in
from factorylm_registry.sources import HttpSource

DEFAULT_KEY = Path("factorylm-publisher.key")
_METHODS = (
    """where the domain shows the key; or `key`: an owner added it to the namespace; or `oidc`: this is a workflow"""
)


def account_options(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("--to", required=True, metavar="URL", help="the registry")
    parser.add_argument("--domain", required=True, help="the domain that proves your namespace, or your key's own name")
    parser.add_argument("--key", type=Path, default=DEFAULT_KEY, metavar="FILE")
    parser.add_argument("--method", choices=["dns", "http", "key", "oidc"], default="http", help=_METHODS)


def account_of(options: argparse.Namespace) -> AuthorAccount:
    """The account they name."""
    signer = signer_in(options.key, options.domain)
    return AuthorAccount(service=HttpSource(options.to), signer=signer, clock=now, method=options.method)
