"""`factorylm-opcua trust URL`: the operator looks at a server's certificate and decides. No tool can do this."""

import argparse
import asyncio
import hmac
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from factorylm_schema import BadRequestError, Device, FactoryLMError

DONE, FAILED, WRONG_USAGE = 0, 1, 2

_LEAST_TYPED = 8


def trust_command(argv: Sequence[str]) -> int:
    """Show the certificate of a server and, when the operator agrees, trust it; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        return _trust(options)
    except FactoryLMError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 (stderr is the operator's)
        return FAILED
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return WRONG_USAGE
    except KeyboardInterrupt:
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="factorylm-opcua trust",
        description="Shows a server's certificate; when you have compared its fingerprint at the server, trusts it.",
        epilog="example: factorylm-opcua trust opc.tcp://10.0.0.5:4840",
    )
    parser.add_argument("url", metavar="URL", help="the server, as in the plant file")
    parser.add_argument("--fingerprint", metavar="SHA256", help="trust only this one, without asking (for scripts)")
    parser.add_argument("--show", action="store_true", help="only show, trust nothing")
    parser.add_argument("--pki", type=Path, metavar="DIR", help="the certificate folder, if not the usual one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _trust(options: argparse.Namespace) -> int:
    from factorylm_opcua.certificates import fingerprint
    from factorylm_opcua.dialect import check_device
    from factorylm_opcua.endpoint import endpoint_of
    from factorylm_opcua.security import pki_of

    if "://" not in options.url:
        raise ValueError("an OPC UA url looks like opc.tcp://host:4840")
    folder = {"pki": str(options.pki.absolute())} if options.pki else {}
    device = Device(name="server", url=options.url, timeout_s=5, options=folder)
    check_device(device)
    endpoint = endpoint_of(device)
    der, application = asyncio.run(_certificate(endpoint))
    pki = pki_of(endpoint)
    shown = _shown(der, application, fingerprint(der))
    _print(shown, as_json=options.json)
    if options.show:
        return DONE
    if not _agreed(options.fingerprint, fingerprint(der)):
        raise BadRequestError("nothing was trusted: the fingerprint is another one")
    file = pki.trust(der)
    own = pki.own()
    _say(f"trusted: {file}", options)
    _say(f"The server must trust us too: {pki.certificate_file} ({own.application_uri})", options)
    return DONE


async def _certificate(endpoint: Any) -> tuple[bytes, str]:
    from factorylm_opcua.failures import Progress
    from factorylm_opcua.security import server_certificate
    from factorylm_opcua.session import ask_endpoints

    offer = await ask_endpoints(endpoint, Progress())
    found = {
        server_certificate(description): description.Server.ApplicationUri or "" for description in offer.endpoints
    }
    found.pop(b"", None)
    if not found:
        raise BadRequestError(
            f"{endpoint.place} has no certificate: it offers no security", hint="Switch security on at the server"
        )
    if len(found) > 1:
        raise BadRequestError(
            f"{endpoint.place} shows {len(found)} different certificates", hint="Ask its administrator"
        )
    return next(iter(found.items()))


def _shown(der: bytes, application: str, sha256: str) -> dict[str, str]:
    from cryptography import x509

    from factorylm_opcua.certificates import judge_application, judge_validity, subject_of, thumbprint

    certificate = x509.load_der_x509_certificate(der)
    problems = [judge_validity(certificate, datetime.now(UTC)), judge_application(certificate, application)]
    return {
        "subject": subject_of(certificate),
        "application": application,
        "valid": f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}",
        "sha256": sha256,
        "sha1": thumbprint(der),
        "problem": "; ".join(problem for problem in problems if problem) or "none",
    }


def _print(shown: dict[str, str], *, as_json: bool) -> None:
    from factorylm_skill.untrusted import told_to_the_model

    harmless = {key: told_to_the_model(text) for key, text in shown.items()}
    if as_json:
        print(json.dumps(harmless))  # noqa: T201
        return
    for key, text in harmless.items():
        print(f"{key:>12}  {text}")  # noqa: T201


def _agreed(given: str | None, sha256: str) -> bool:
    """By the whole fingerprint from a script, or by its first digits from somebody at the terminal."""
    if given is not None:
        return hmac.compare_digest(_digits(given), _digits(sha256))
    if not sys.stdin.isatty():
        raise ValueError("not a terminal: give --fingerprint with the one you read on the server")
    print("Compare sha256 with the one the server shows, not with this screen.", file=sys.stderr)  # noqa: T201
    typed = _digits(input(f"Type its first {_LEAST_TYPED} digits to trust this server: "))
    return len(typed) >= _LEAST_TYPED and _digits(sha256).startswith(typed)


def _digits(text: str) -> str:
    return "".join(character for character in text.lower() if character in "0123456789abcdef")


def _say(text: str, options: argparse.Namespace) -> None:
    print(text, file=sys.stderr if options.json else sys.stdout)
