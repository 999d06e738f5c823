"""What a reader must hear before any figure of a journal: that a figure may mean nothing."""

from factorylm_alarms.clock import shown_time
from factorylm_alarms.journal import Journal
from factorylm_alarms.untrusted import visible

LONG_SILENCE = 0.5
"""One silence of half of the journal is a clock that was not set, or two journals in one file."""
REJECTED = 0.05


def cautions(journal: Journal) -> list[str]:
    """Sentences, the worst first; none for a sound journal."""
    quality = journal.quality
    found = []
    if not len(journal.activations):
        classes = ", ".join(f"{count} {kind}" for kind, count in quality.rows_by_class.items() if count)
        words = ", ".join(visible(word, 20) for word in list(quality.unknown_words)[:5])
        found.append(
            f"no row is an activation (rows: {classes}{f'; words without a meaning here: {words}' if words else ''}): "
            "is the event column right?"
        )
    start, end = max(quality.silences, key=lambda gap: gap[1] - gap[0], default=(0, 0))
    if start < end and end - start >= LONG_SILENCE * (journal.last_ms - journal.first_ms):
        found.append(
            f"nothing is written from {shown_time(journal, start)} to {shown_time(journal, end)}, over half of the "
            "journal: rates and shares of time mean little. Is a clock wrong, or are these two journals?"
        )
    if quality.rejected > REJECTED * (quality.rows + quality.rejected):
        found.append(f"{quality.rejected} of {quality.rows + quality.rejected} rows were rejected: look at them first")
    return found
