"""A reviewer's statement: a person read the skill, tried it, and signs what they found."""

from typing import Any

from factorylm_registry.refusals import BadQuestionError
from factorylm_registry.signatures import Signer, sealed, statement_about
from factorylm_registry.verification import REVIEW, Verified

_MOST = 500


def review_of(listing: Verified, says: str, reviewer: Signer) -> dict[str, Any]:
    """Signed, about exactly this wheel and these tool definitions; the listing was verified before."""
    if not says.strip() or len(says) > _MOST or not says.isprintable():
        raise BadQuestionError("a review says what was found", hint=f"One line of at most {_MOST} characters")
    wheel = listing.ours["wheel"]
    about = {"name": listing.name, "version": listing.version, "tools": listing.ours["tools"], "says": says}
    return sealed(statement_about(wheel["filename"], wheel["sha256"], REVIEW, about), reviewer)
