"""The analysis as JSON for scripts: the keys are a contract, the definitions stand beside the numbers."""

from factorylm_alarms import floods as flood_definitions
from factorylm_alarms import measures
from factorylm_alarms.analysis import TOP, Analysis
from factorylm_alarms.cautions import cautions
from factorylm_alarms.clock import shown_time
from factorylm_alarms.early import EarlyName
from factorylm_alarms.families import Family, FamilyResult
from factorylm_alarms.floods import Flood
from factorylm_alarms.journal import Journal

Json = dict[str, object]
TARGETS = {
    "per_hour": "ISA-18.2-2016 16.4.2: about 6 very likely acceptable, about 12 the most that can be managed",
    "per_10min": "ISA-18.2-2016 16.4.2: about 1, about 2 the most that can be managed",
    "share_over_10": "ISA-18.2-2016 16.4.3: less than about 1 % of 10-min periods hold more than 10",
    "peak_10min": "ISA-18.2-2016 16.4.3: at most 10",
    "time_in_flood_pct": "ISA-18.2-2016 16.4.4: less than about 1 %",
    "top": "ISA-18.2-2016 16.4.5: the 10 most frequent make less than about 1 to 5 %, with action plans",
    "chattering": "ISA-18.2-2016 16.4.6: none, with an action plan for each",
    "stale": "ISA-18.2-2016 16.4.7: fewer than 5 on any day, with action plans",
    "priority_pct": "ISA-18.2-2016 16.4.8: about 80/15/5 %, with a fourth level below 1 %",
}
NO_CERTIFICATE = "Targets are approximate; these figures are candidates for review, not a certificate of compliance."


def report_json(analysis: Analysis) -> Json:
    """Everything, complete: nothing in it is cut."""
    journal = analysis.journal
    return {
        "log": journal.name,
        "log_id": journal.log_id,
        "format": journal.mapping.format,
        "scope": "whole journal" if not analysis.consoles else "whole journal; per area under consoles",
        "first": shown_time(journal, journal.first_ms),
        "last": shown_time(journal, journal.last_ms),
        "rows": journal.quality.rows,
        "activations": len(journal.activations),
        "alarms": len(analysis.ranking),
        "rejected": journal.quality.rejected,
        "duplicates": journal.quality.duplicates,
        **_rates(analysis),
        "floods": {name: [flood_json(journal, one) for one in found] for name, found in analysis.floods.items()},
        "time_in_flood_pct": analysis.time_in_flood_pct,
        "consoles": [console_json(analysis, number) for number in range(len(analysis.consoles))],
        **_lists(analysis),
        "acknowledge_s": None
        if analysis.ack_s is None
        else dict(zip(("median", "p90", "p99"), analysis.ack_s, strict=True)) | {"count": analysis.acks},
        "changes": [{"class": kind, "what": what, "rows": rows} for kind, what, rows in journal.changes],
        "families": None if analysis.families is None else families_json(journal, analysis.families),
        "findings": [
            {"kind": one.kind, "alarms": list(one.alarms), "text": one.text, "evidence": _timed(journal, one.evidence)}
            for one in analysis.findings
        ],
        "data_quality": quality_json(journal),
        "definitions": {**measures.DEFINITION_TEXTS, **flood_definitions.DEFINITION_TEXTS},
        "targets": TARGETS,
        "note": NO_CERTIFICATE,
    }


def _rates(analysis: Analysis) -> Json:
    """Counts by the clock."""
    journal, rates = analysis.journal, analysis.rates
    return {
        "hours": journal.hours,
        "per_hour": rates.per_hour,
        "per_hour_without_silences": _rate_without_silences(journal),
        "per_10min": rates.mean_10min,
        "per_day": rates.per_day,
        "peak_10min": rates.peak_10min,
        "peak_10min_sliding": rates.peak_10min_sliding,
        "peak_hour": rates.peak_hour,
        "peak_day": rates.peak_day,
        "share_of_10min_over_10_pct": None if rates.share_over_10 is None else 100 * rates.share_over_10,
        "mean_daily_worst_10min": rates.mean_daily_worst_10min,
    }


def _lists(analysis: Analysis) -> Json:
    """Which alarms: the most frequent, the chattering, the fleeting, the stale; priorities."""
    return {
        "top": [
            {"alarm": analysis.name(alarm), "count": count, "share_pct": analysis.share_pct(count)}
            for alarm, count in analysis.ranking[:TOP]
        ],
        "top_share_pct": analysis.share_pct(sum(count for _, count in analysis.ranking[:TOP])),
        "chattering": [
            {"alarm": analysis.name(one.alarm), "triggers": one.triggers, "index": one.index, "gaps": one.gaps}
            for one in analysis.chattering
        ],
        "chattering_spread": {
            "3 in <= 60 s": sum(one.triggers > 0 for one in analysis.chattering),
            "3 in < 60 s": analysis.chattering_exclusive,
            "index >= 0.05": sum((one.index or 0) >= measures.INDEX_LIMIT for one in analysis.chattering),
        },
        "fleeting": [
            {"alarm": analysis.name(alarm), "count": count, "share_pct": 100 * share}
            for alarm, count, share in analysis.fleeting
        ],
        "stale": {"low": analysis.stale.low, "point": analysis.stale.point, "high": analysis.stale.high},
        "priority_pct": priority_pct(analysis.journal),
    }


def flood_json(journal: Journal, flood: Flood) -> Json:
    """One flood of the contract."""
    return {
        "start": shown_time(journal, flood.start_ms),
        "end": shown_time(journal, flood.end_ms),
        "alarms": flood.alarms,
        "peak": flood.peak,
    }


def console_json(analysis: Analysis, number: int) -> Json:
    """One area, its floods summed up."""
    console = analysis.consoles[number]
    return {
        "area": console.area,
        "activations": console.activations,
        "peak_10min": console.peak_10min,
        "floods": {
            name: {
                "floods": len(found),
                "alarms": sum(flood.alarms for flood in found),
                "peak": max((flood.peak for flood in found), default=0),
            }
            for name, found in console.floods.items()
        },
        "time_in_flood_pct": console.time_in_flood_pct,
    }


def priority_pct(journal: Journal) -> dict[str, float]:
    """Share of the activations that have a priority, by priority."""
    total = sum(journal.priority_counts.values())
    return {name: 100 * count / total for name, count in journal.priority_counts.items()}


def families_json(journal: Journal, found: FamilyResult) -> Json:
    """Families by their alarms' names."""
    names = [alarm.name for alarm in journal.alarms]
    return {
        "floods": found.total,
        "analysed": len(found.chosen),
        "families": [
            {"family": number, **_family_json(names, family)} for number, family in enumerate(found.families, start=1)
        ],
        "note": "floods are numbered from 1 in the list of sliding>=10; the order is evidence, not a cause",
    }


def _family_json(names: list[str], family: Family) -> Json:
    return {
        "size": len(family.floods),
        "common": [{"alarm": names[alarm], "share_pct": 100 * share} for alarm, share in family.common[:12]],
        "usual_order": [names[alarm] for alarm in family.order],
        "follow_order_pct": 100 * family.order_share,
        "first_alarm": {"alarm": names[family.first[0]], "share_pct": 100 * family.first[1]},
        "duration_s": dict(zip(("min", "median", "max"), family.duration_s, strict=True)),
        "example": family.example + 1,
        "floods": [flood + 1 for flood in family.floods],
    }


def early_json(journal: Journal, found: EarlyName) -> Json:
    """A flood named by its first minutes; `family` is null where it was not seen before."""
    names = [alarm.name for alarm in journal.alarms]
    return {
        "flood": found.flood + 1,
        "activations": found.alarms,
        "earlier_floods": found.earlier,
        "unseen": found.family is None,
        "family": None if found.family is None else _family_json(names, found.family),
        "votes": found.votes,
        "of_alike": found.asked,
        "nearest": None if found.nearest is None else found.nearest + 1,
        "note": "by the floods before it alone; floods are numbered from 1 in the list of sliding>=10",
    }


def quality_json(journal: Journal) -> Json:
    """What was done to the rows before anything was counted."""
    quality = journal.quality
    return {
        "cautions": cautions(journal),
        "rows": quality.rows,
        "rejected": quality.rejected,
        "rejected_lines": [
            {"file": file, "line": line, "reason": reason} for file, line, reason in quality.rejected_lines
        ],
        "rejected_lines_listed": len(quality.rejected_lines),
        "duplicates": quality.duplicates,
        "duplicates_rule": "kept" if quality.duplicates_kept else "rows equal in every cell are counted once",
        "moved": quality.moved,
        "clock_steps": [
            {"at": shown_time(journal, when - shift), "hours": shift / 3_600_000} for when, shift in quality.clock_steps
        ],
        "rows_by_class": quality.rows_by_class,
        "unknown_words": quality.unknown_words,
        "unpaired": {
            "activation_after_activation": int((journal.activations.ending == 1).sum()),
            "open_at_end": int((journal.activations.ending == 2).sum()),
            "orphan_returns": journal.activations.orphan_returns,
            "orphan_acknowledgements": journal.activations.orphan_acks,
        },
        "silences": [
            {"from": shown_time(journal, start), "to": shown_time(journal, end)} for start, end in quality.silences
        ],
        "resolution_ms": quality.resolution_ms,
        "zone": quality.zone,
        "format": journal.mapping.format,
        "format_evidence": journal.mapping.evidence,
        "columns": journal.mapping.shown(),
        "priority_direction": journal.mapping.worst or "not stated",
        "files": [file.name for file in journal.files],
        "notes": list(quality.notes),
    }


def _rate_without_silences(journal: Journal) -> float | None:
    """Silence is not good news: the rate over the time in which the journal wrote anything."""
    silent = sum(end - start for start, end in journal.quality.silences)
    span = journal.last_ms - journal.first_ms - silent
    return len(journal.activations) / (span / 3_600_000) if span > 0 else None


def _timed(journal: Journal, evidence: Json) -> Json:
    """Milliseconds as times."""
    return {
        key.removesuffix("_ms") if key.endswith("_ms") else key: shown_time(journal, value)
        if key.endswith("_ms") and isinstance(value, int)
        else value
        for key, value in evidence.items()
    }
