"""Everything there is to say about a journal, put together once; reports and answers are cut from it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from factorylm_alarms import measures
from factorylm_alarms.arrays import Times
from factorylm_alarms.delays import Intervals, delay_curve, intervals_of
from factorylm_alarms.families import FamilyResult, families_of
from factorylm_alarms.findings import Finding, find_what_matters
from factorylm_alarms.floods import DEFAULT, DEFINITIONS, Flood, find_floods, ms_in_flood, windows_of
from factorylm_alarms.journal import Journal
from factorylm_alarms.relations import Burst, FirstOut, Pair, background, bursts, first_out, redundant_pairs

Step = Callable[[str], None]
TOP = 10
MAX_FAMILY_FLOODS = 1000


@dataclass(frozen=True, kw_only=True)
class Console:
    """One area's floods and rate; the standards judge per operator console."""

    area: str
    activations: int
    peak_10min: int
    floods: dict[str, list[Flood]]
    time_in_flood_pct: dict[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The results; alarm numbers refer to `journal.alarms`."""

    journal: Journal
    intervals: Intervals
    rates: measures.Rates
    ranking: list[tuple[int, int]]
    floods: dict[str, list[Flood]]
    time_in_flood_pct: dict[str, float | None]
    consoles: list[Console]
    chattering: list[measures.Chatter]
    chattering_exclusive: int
    fleeting: list[tuple[int, int, float]]
    stale: measures.Stale
    stale_alarms: list[tuple[int, int, int]]
    ack_s: tuple[float, ...] | None
    acks: int
    pairs: list[Pair]
    bursts: list[Burst]
    first_outs: list[FirstOut]
    families: FamilyResult | None
    heat_map: list[list[int]]
    curves: dict[int, list[tuple[int, int, int]]]
    curve_of_all: list[tuple[int, int, int]]
    findings: list[Finding]

    def name(self, alarm: int) -> str:
        """The name of an alarm, as the journal writes it."""
        return self.journal.alarms[alarm].name

    def share_pct(self, count: int) -> float:
        """Per cent of all activations."""
        return 100 * count / max(1, len(self.journal.activations))


def analyse(journal: Journal, *, step: Step = lambda _: None) -> Analysis:
    """Measure, relate, judge. `step` is told what is being done."""
    activations = journal.activations
    step("rates and floods")
    windows = windows_of(activations.start)
    floods = {definition: find_floods(activations.start, definition, windows) for definition in DEFINITIONS}
    names, texts = [alarm.name for alarm in journal.alarms], [alarm.text for alarm in journal.alarms]
    ranking = measures.ranking(activations, names)
    step("chattering, fleeting, stale")
    intervals = intervals_of(activations)
    chattering = measures.chattering(intervals)
    step("relations")
    everyday = background(activations, floods[DEFAULT])
    found_bursts = bursts(activations, names, texts)
    pairs = redundant_pairs(activations, ranking, journal.last_ms - journal.first_ms)
    first_outs = [first_out(activations, flood, everyday) for flood in floods[DEFAULT]]
    step("flood families")
    families = families_of(journal, floods[DEFAULT], limit=MAX_FAMILY_FLOODS) if len(floods[DEFAULT]) > 1 else None
    step("findings")
    stale_alarms = measures.stale_per_alarm(activations)
    fleeting = measures.fleeting(intervals)
    return Analysis(
        journal=journal,
        intervals=intervals,
        rates=measures.rates(activations.start, windows, journal.first_ms, journal.last_ms),
        ranking=ranking,
        floods=floods,
        time_in_flood_pct=_flood_shares(floods, journal),
        consoles=_consoles(journal),
        chattering=chattering,
        chattering_exclusive=int((measures.trigger_counts(intervals, inclusive=False) > 0).sum()),
        fleeting=fleeting,
        stale=measures.stale(activations),
        stale_alarms=stale_alarms,
        ack_s=measures.quantiles(activations.ack_ms),
        acks=len(activations.ack_ms),
        pairs=pairs,
        bursts=found_bursts,
        first_outs=first_outs,
        families=families,
        heat_map=measures.heat_map(windows).tolist(),
        curves={alarm: delay_curve(_only(intervals, alarm)) for alarm, _ in ranking[:TOP]},
        curve_of_all=delay_curve(intervals),
        findings=find_what_matters(
            journal, intervals, ranking, chattering, stale_alarms, pairs, found_bursts, floods[DEFAULT], first_outs
        ),
    )


def _only(intervals: Intervals, alarm: int) -> Intervals:
    """One alarm's part of all intervals, which are sorted by alarm."""
    first, last = (int(np.searchsorted(intervals.alarm, alarm, side=side)) for side in ("left", "right"))
    part = slice(first, last)
    return Intervals(
        alarm=intervals.alarm[part],
        start=intervals.start[part],
        duration=intervals.duration[part],
        gap=intervals.gap[part],
        closed=intervals.closed[part],
        order=intervals.order[part],
    )


def _flood_shares(floods: dict[str, list[Flood]], journal: Journal) -> dict[str, float | None]:
    span = journal.last_ms - journal.first_ms
    return {
        definition: 100 * ms_in_flood(found, journal.first_ms, journal.last_ms) / span if span else None
        for definition, found in floods.items()
    }


def _consoles(journal: Journal) -> list[Console]:
    """One console an area; none when the journal names no area, or only one."""
    areas = sorted({alarm.area for alarm in journal.alarms})
    if len(areas) < 2:
        return []
    number = np.array([areas.index(alarm.area) for alarm in journal.alarms], np.int32)[journal.activations.alarm]
    return [_console(journal, area, journal.activations.start[number == i]) for i, area in enumerate(areas)]


def _console(journal: Journal, area: str, time: Times) -> Console:
    windows = windows_of(time)
    floods = {definition: find_floods(time, definition, windows) for definition in DEFINITIONS}
    return Console(
        area=area,
        activations=len(time),
        peak_10min=int(windows.count.max(initial=0)),
        floods=floods,
        time_in_flood_pct=_flood_shares(floods, journal),
    )
