"""Short texts for the terminal."""

from typing import Any

from factorylm_alarms.analysis import Analysis
from factorylm_alarms.cautions import cautions
from factorylm_alarms.clock import shown_duration, shown_time
from factorylm_alarms.delays import DelayEffect, Tie
from factorylm_alarms.floods import DEFAULT
from factorylm_alarms.journal import Journal
from factorylm_alarms.report_data import NO_CERTIFICATE
from factorylm_alarms.untrusted import visible


def summary_text(analysis: Analysis) -> str:
    """The page in a dozen lines."""
    journal, rates, quality = analysis.journal, analysis.rates, analysis.journal.quality
    spread = sorted(value for value in analysis.time_in_flood_pct.values() if value is not None)
    first, last = shown_time(journal, journal.first_ms), shown_time(journal, journal.last_ms)
    counted = f"{quality.rejected} rejected, {quality.duplicates} duplicates, {quality.moved} moved"
    rate = "no time span" if rates.per_hour is None else f"{rates.per_hour:.1f} an hour"
    counted_alarms = f"{len(journal.activations)} activations of {len(analysis.ranking)} alarms"
    lines = [
        f"{visible(journal.name)}  {first} to {last}  ({shown_duration(journal.hours * 3600)}, zone {quality.zone})",
        f"read as {journal.mapping.format}: {quality.rows} rows, {counted}",
        *(f"CAUTION: {caution}" for caution in cautions(journal)),
        f"{counted_alarms}, {rate}, peak {rates.peak_10min} in 10 min",
        f"{len(analysis.floods[DEFAULT])} floods ({DEFAULT})"
        + (f", {analysis.time_in_flood_pct[DEFAULT]:.1f} % of time; " if spread else "")
        + (f"{spread[0]:.1f} to {spread[-1]:.1f} % over the four definitions" if spread else ""),
        f"stale: {analysis.stale.low} for certain, {analysis.stale.high} at most",
        *(["most frequent:"] if analysis.ranking else []),
    ]
    for alarm, count in analysis.ranking[:5]:
        lines.append(f"  {count:9d}  {analysis.share_pct(count):5.1f} %  {visible(analysis.name(alarm))}")
    lines += [f"- {finding.text}" for finding in analysis.findings[:5]]
    return "\n".join([*lines, NO_CERTIFICATE])


def simulate_json(
    journal: Journal, alarm: int | None, effect: DelayEffect, *, on_s: float, off_s: float, tie: Tie
) -> dict[str, Any]:
    """The effect with its rule and its costs."""
    return {
        "log_id": journal.log_id,
        "alarm": "all" if alarm is None else journal.alarms[alarm].name,
        "on_s": on_s,
        "off_s": off_s,
        "tie": tie,
        "before": effect.before,
        "after": effect.after,
        "delayed": effect.delayed,
        "never_shown": effect.never_shown,
        "joined": effect.joined,
        "unclosed": effect.unclosed,
        "rule": "an activation without a return counts as long; a gap equal to the off-delay "
        + ("starts a new annunciation (tie clear)" if tie == "clear" else "keeps the annunciation (tie keep)"),
    }


def effect_text(found: dict[str, Any]) -> str:
    """The effect in words, both costs included."""
    change = 100 * (found["after"] - found["before"]) / max(1, found["before"])
    return (
        f"{visible(found['alarm'])}, on-delay {found['on_s']:g} s, off-delay {found['off_s']:g} s, tie {found['tie']}: "
        f"{found['before']} -> {found['after']} annunciations ({change:+.1f} %).\n"
        f"{_costs(found)}{found['joined']} activations fall into an annunciation still standing.\n"
        f"Rule: {found['rule']} ({found['unclosed']} such activations). Candidate for the change procedure."
    )


def _costs(found: dict[str, Any]) -> str:
    """What an on-delay costs; an off-delay only makes episodes longer."""
    if not found["on_s"]:
        return f"The first annunciation of each episode is unchanged; episodes close {found['off_s']:g} s later. "
    return (
        f"{found['delayed']} of them come {found['on_s']:g} s later; {found['never_shown']} activations never show: "
        "check whether any needed action. "
    )


def families_text(found: dict[str, Any]) -> str:
    """One line a family."""
    lines = [f"{found['floods']} floods, {found['analysed']} analysed, {len(found['families'])} families"]
    for family in found["families"][:20]:
        order = " > ".join(visible(name, 30) for name in family["usual_order"])
        lines.append(
            f"family {family['family']}: {family['size']} floods, first {visible(family['first_alarm']['alarm'], 30)} "
            f"({family['first_alarm']['share_pct']:.0f} %), usual order {order} "
            f"(followed by {family['follow_order_pct']:.0f} %), example flood {family['example']}"
        )
    return "\n".join(lines)


def early_text(found: dict[str, Any]) -> str:
    """The family a flood seems to become, or that it was not seen before."""
    begun = f"flood {found['flood']} by its first {found['first_s']:g} s ({found['activations']} activations): "
    if found["unseen"]:
        return f"{begun}not seen before; nothing like it among the {found['earlier_floods']} floods before it"
    family = found["family"]
    order = " > ".join(visible(name, 30) for name in family["usual_order"])
    return (
        f"{begun}like {family['size']} of the {found['earlier_floods']} floods before it ({found['votes']} of the "
        f"{found['of_alike']} most alike; the nearest is flood {found['nearest']}), usual order {order}, "
        f"{family['duration_s']['median']:.0f} s long in the middle"
    )


def classify_text(answer: dict[str, Any]) -> str:
    """The class or the honest absence of one."""
    if answer["unseen"]:
        return (
            f"unseen: nothing like it among {answer['classes']} classes (novelty {answer['novelty']:.2f}, limit 1); "
            f"the nearest is {visible(answer['nearest'])}"
        )
    return (
        f"{visible(answer['class'])}, probability {answer['probability']:.2f} (novelty {answer['novelty']:.2f}, "
        f"unseen above 1; {answer['samples']} samples)"
    )
