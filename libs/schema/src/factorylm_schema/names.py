"""Which known names a mistyped one may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, choices: Iterable[str], limit: int = 5) -> list[str]:
    """Names most like `name`, best first; where nothing is alike, the first few in order."""
    known = sorted(set(choices))
    lowered = {choice.lower(): choice for choice in known}
    # difflib is quadratic in the text's length: a 10,000-character "name" must not cost a second
    alike = get_close_matches(name[:200].lower(), lowered, n=limit, cutoff=0.5)
    return [lowered[choice] for choice in alike] or known[:limit]
