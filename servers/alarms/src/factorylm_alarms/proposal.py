"""A mapping file to confirm, for a journal whose format is not recognised."""

from pathlib import Path

from factorylm_alarms.errors import UnknownFormatError
from factorylm_alarms.mapping import SINGLE_ROLES, propose, recognise
from factorylm_alarms.open_log import dialect_of


def proposal_for(path: Path) -> str:
    """What was found is filled in, what is missing is named."""
    dialect = dialect_of(path)
    try:
        mapping = recognise(dialect)
    except UnknownFormatError as error:
        return error.proposal
    roles = {}
    for role in (*SINGLE_ROLES, "source", "condition", "area"):
        place = getattr(mapping, role)
        if place not in (None, ()):
            roles[role] = place[0] if isinstance(place, tuple) else place
    return propose(mapping.header, list(zip(*dialect.first_rows, strict=False)), roles)
