"""What deserves a look, why, what a change would do, and where the evidence is.

Every entry is a candidate for review. A delay is suggested only with its simulated effect and both costs, and never for
an alarm of the top priority or one that protects people or plant.
"""

import re
from dataclasses import dataclass, field

import numpy as np

from factorylm_alarms.delays import DelayEffect, Intervals, simulate
from factorylm_alarms.floods import Flood
from factorylm_alarms.journal import Journal
from factorylm_alarms.measures import Chatter
from factorylm_alarms.pairing import Ending
from factorylm_alarms.relations import Burst, FirstOut, Pair
from factorylm_alarms.untrusted import visible

SAFETY = re.compile(
    r"(?i)(?<![a-z])(sis|sif|esd|psd|hipps|safety|sicherheit\w*|trip|f&g|fire|gas|feuer|emergency|not-?aus|relief|prv|"
    r"bms|interlock)(?![a-z])"
)
WORST_WORDS = ("critical", "emergency", "urgent", "highest", "kritisch", "diagnostic-4")
BAD_ACTORS = 10
BAD_SHARE_PCT = 1.0
SUGGESTED_S = (15, 30, 60)
MOST_OF_IT = 0.8
MOST_MISSING = 0.2
MAX_BURSTS = 10
LOST = re.compile(
    r"(?i)(?<![a-z])(comm?s?|comfail|nocomm|communication|bad ?no ?communication|offline|kommunikation\w*|"
    r"verbindung\w*)(?![a-z])"
)
"""Narrower than what a burst may speak of: a link or a timeout alone can be anything."""
MAX_PAIRS = 10
MAX_FLOODS = 10


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`text` is complete in itself; `evidence` names rows of the journal. Rank 1 matters most."""

    kind: str
    alarms: tuple[str, ...]
    text: str
    evidence: dict[str, object] = field(default_factory=dict)


def find_what_matters(
    journal: Journal,
    intervals: Intervals,
    ranking: list[tuple[int, int]],
    chattering: list[Chatter],
    stale: list[tuple[int, int, int]],
    pairs: list[Pair],
    bursts: list[Burst],
    floods: list[Flood],
    first_outs: list[FirstOut],
) -> list[Finding]:
    """All findings, grouped in the order a person should read them."""
    return [
        *_bad_actors(journal, intervals, ranking, chattering),
        *_lost_connections(journal, bursts),
        *_announced_losses(journal, ranking, bursts),
        *_flood_openings(journal, floods, first_outs),
        *_stale_alarms(journal, stale),
        *_pairs(journal, pairs),
        *_missing_records(journal),
    ]


def is_protective(journal: Journal, alarm: int) -> str:
    """Why no delay is suggested for this alarm; empty when one may be."""
    one = journal.alarms[alarm]
    if SAFETY.search(f"{one.name} {one.area} {one.text}"):
        return "its name or text speaks of a protective function"
    if one.priority and one.priority in top_priorities(journal):
        return f"it has the top priority {visible(one.priority, 20)}"
    return ""


def top_priorities(journal: Journal) -> set[str]:
    """The worst priority in this journal; empty when the direction is not known."""
    names = list(dict.fromkeys(alarm.priority for alarm in journal.alarms if alarm.priority))
    if len(names) < 2:
        return {name for name in names if name.lower() in WORST_WORDS}
    numbers = [(float(name), name) for name in names if re.fullmatch(r"\d+(\.\d+)?", name)]
    if numbers and journal.mapping.worst:
        worst = max(numbers) if journal.mapping.worst == "high" else min(numbers)
        return {worst[1]}
    spoken = {name for name in names if name.lower() in WORST_WORDS}
    return spoken or {name for name in names if re.match(r"(?i)(u\b|u \d|1 |high$)", name)}


def _bad_actors(
    journal: Journal, intervals: Intervals, ranking: list[tuple[int, int]], chattering: list[Chatter]
) -> list[Finding]:
    total = max(1, len(journal.activations))
    triggers = {one.alarm: one for one in chattering}
    chosen = [(alarm, count) for alarm, count in ranking[:BAD_ACTORS] if 100 * count / total >= BAD_SHARE_PCT]
    extra = [(one.alarm, dict(ranking)[one.alarm]) for one in chattering[:BAD_ACTORS]]
    found = []
    for alarm, count in dict([*chosen, *extra]).items():
        found.append(_bad_actor(journal, intervals, alarm, count, triggers.get(alarm)))
    return found


def _bad_actor(journal: Journal, intervals: Intervals, alarm: int, count: int, chatter: Chatter | None) -> Finding:
    first, last = (int(np.searchsorted(intervals.alarm, alarm, side=side)) for side in ("left", "right"))
    rows = journal.activations.row[intervals.order[first:last]]
    share = 100 * count / max(1, len(journal.activations))
    why = [f"{count} activations, {share:.1f} % of all"]
    if chatter is not None:
        why.append(f"came 3 times within 60 s on {chatter.triggers} occasions")
        if chatter.index is not None:
            why.append(f"chattering index {chatter.index:.3f}/s")
    name = journal.alarms[alarm].name
    return Finding(
        kind="chattering" if chatter is not None and chatter.triggers else "bad actor",
        alarms=(name,),
        text=f"{visible(name)}: {'; '.join(why)}. {_delay_advice(journal, intervals, alarm, first, last)}",
        evidence={"activations": count, **_row_range(journal, int(rows.min()), int(rows.max()))},
    )


def _delay_advice(journal: Journal, intervals: Intervals, alarm: int, first: int, last: int) -> str:
    reason = is_protective(journal, alarm)
    if reason:
        return f"Review: {reason}, so no delay is suggested."
    missing = 1 - float(intervals.closed[first:last].mean())
    if missing > MOST_MISSING:
        return f"No delay is suggested: {missing:.0%} of its activations have no return in this journal."
    part = Intervals(
        alarm=intervals.alarm[first:last],
        start=intervals.start[first:last],
        duration=intervals.duration[first:last],
        gap=intervals.gap[first:last],
        closed=intervals.closed[first:last],
        order=intervals.order[first:last],
    )
    off_s, off = _smallest_delay([(s, simulate(part, on_ms=0, off_ms=s * 1000)) for s in SUGGESTED_S])
    on_s, on = _smallest_delay([(s, simulate(part, on_ms=s * 1000, off_ms=0)) for s in SUGGESTED_S])
    if (
        off.before - max(off.after, on.after) < 0.1 * off.before
        and off.before - min(off.after, on.after) < 0.1 * off.before
    ):
        return "No delay up to 60 s changes much: look at its limit and its cause."
    return (
        f"Candidates for review, simulated on this log: off-delay {off_s} s {_effect(off)} (tie clear; first "
        f"annunciation of each episode unchanged, episodes close {off_s} s later); on-delay {on_s} s {_effect(on)} "
        f"(each remaining one {on_s} s later, {on.never_shown} activations never shown: did any need action?)."
    )


def _smallest_delay(tried: list[tuple[int, DelayEffect]]) -> tuple[int, DelayEffect]:
    """The shortest delay that does most of what the longest does."""
    best = max(effect.before - effect.after for _, effect in tried)
    return next((s, effect) for s, effect in tried if effect.before - effect.after >= MOST_OF_IT * best)


def _effect(effect: DelayEffect) -> str:
    change = 100 * (effect.after - effect.before) / max(1, effect.before)
    return f"{effect.before} -> {effect.after} ({change:+.1f} %)"


def _lost_connections(journal: Journal, bursts: list[Burst]) -> list[Finding]:
    found = []
    spoken = [burst for burst in bursts if burst.communication or (burst.shared and burst.returned_together)]
    for burst in sorted(spoken, key=lambda one: -len(one.alarms))[:MAX_BURSTS]:
        names = tuple(journal.alarms[alarm].name for alarm in burst.alarms)
        why = "their texts speak of communication" if burst.communication else "they came and went together"
        shared = f", all of {visible(burst.shared)}" if burst.shared else ""
        found.append(
            Finding(
                kind="communication loss",
                alarms=names,
                text=f"{len(names)} alarms within 2 s{shared}: {why}. One lost connection may have set them off.",
                evidence={"time_ms": burst.start_ms, **_row_range(journal, burst.first_row, burst.last_row)},
            )
        )
    return found


def _announced_losses(journal: Journal, ranking: list[tuple[int, int]], bursts: list[Burst]) -> list[Finding]:
    """A control system with an alarm of its own for a lost connection announces the loss once, without a burst."""
    told = {alarm for burst in bursts for alarm in burst.alarms}
    spoken = [
        (alarm, count)
        for alarm, count in ranking
        if alarm not in told and LOST.search(f"{journal.alarms[alarm].name} {journal.alarms[alarm].text}")
    ]
    return [_announced_loss(journal, alarm, count) for alarm, count in spoken[:MAX_BURSTS]]


def _announced_loss(journal: Journal, alarm: int, count: int) -> Finding:
    activations, name = journal.activations, journal.alarms[alarm].name
    own = np.flatnonzero(activations.alarm == alarm)
    ended = own[activations.ending[own] == Ending.RETURNED]
    away_s = float((activations.end[ended] - activations.start[ended]).sum()) / 1000
    open_ones = f", {count - len(ended)} without a return" if count > len(ended) else ""
    return Finding(
        kind="communication loss",
        alarms=(name,),
        text=f"{visible(name)} speaks of a lost connection: {count} activations, {away_s:.0f} s in all{open_ones}. "
        "What came over this connection says nothing about that time: no alarm does not mean no trouble.",
        evidence={
            "time_ms": int(activations.start[own[0]]),
            "activations": count,
            **_row_range(journal, int(activations.row[own[0]]), int(activations.row[own[-1]])),
        },
    )


def _flood_openings(journal: Journal, floods: list[Flood], first_outs: list[FirstOut]) -> list[Finding]:
    both = sorted(zip(floods, first_outs, strict=True), key=lambda pair: -pair[0].alarms)[:MAX_FLOODS]
    found = []
    for flood, first in both:
        name = journal.alarms[first.alarm].name
        then = ", ".join(visible(journal.alarms[alarm].name, 40) for alarm in first.then[:3])
        skipped = f" ({len(first.skipped)} everyday alarms before it left out)" if first.skipped else ""
        found.append(
            Finding(
                kind="flood first-out",
                alarms=(name,),
                text=f"Flood of {flood.alarms} activations, peak {flood.peak} in 10 min: {visible(name)} came first"
                f"{skipped}, then {then or 'nothing else'}. Order evidence, not a cause.",
                evidence={
                    "start_ms": flood.start_ms,
                    "end_ms": flood.end_ms,
                    "first_out_ms": first.at_ms,
                    **_row_range(journal, first.row, int(journal.activations.row[flood.last - 1])),
                },
            )
        )
    return found


def _stale_alarms(journal: Journal, stale: list[tuple[int, int, int]]) -> list[Finding]:
    return [
        Finding(
            kind="stale",
            alarms=(journal.alarms[alarm].name,),
            text=f"{visible(journal.alarms[alarm].name)} stood longer than 24 h on {low} occasions for certain and on "
            f"{high} at most; the difference is returns the journal does not hold.",
            evidence={"low": low, "high": high},
        )
        for alarm, low, high in stale[:MAX_PAIRS]
    ]


def _pairs(journal: Journal, pairs: list[Pair]) -> list[Finding]:
    found = []
    for pair in pairs[:MAX_PAIRS]:
        a, b = journal.alarms[pair.a].name, journal.alarms[pair.b].name
        both = min(pair.a_with_b, pair.b_with_a) >= 0.8
        found.append(
            Finding(
                kind="redundant pair" if both else "sequence",
                alarms=(a, b),
                text=f"{visible(a)} comes with {visible(b)} within 5 s in {pair.a_with_b:.0%} of its activations, the "
                f"other way in {pair.b_with_a:.0%} (support {pair.support}, lift {pair.lift:.1f}); the first leads in "
                f"{pair.first_share:.0%}, median lag {pair.lag_s:.1f} s. Candidate for rationalization.",
                evidence={"support": pair.support},
            )
        )
    return found


def _missing_records(journal: Journal) -> list[Finding]:
    again = int((journal.activations.ending == 1).sum())
    if again * 200 < len(journal.activations) or not again:
        return []
    share = 100 * again / len(journal.activations)
    return [
        Finding(
            kind="missing returns",
            alarms=(),
            text=f"{again} activations ({share:.1f} %) are followed by another activation of the same alarm: a return "
            "record is missing, or the alarm was announced anew. They count as activations; their ends are unknown.",
            evidence={"activations": again},
        )
    ]


def _row_range(journal: Journal, first: int, last: int) -> dict[str, object]:
    """Where a person can open the rows."""
    file, line = journal.place_of_row(first)
    return {"log_id": journal.log_id, "file": file, "first_row": line, "last_row": journal.place_of_row(last)[1]}
