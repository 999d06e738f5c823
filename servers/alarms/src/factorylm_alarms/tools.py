"""The eight tools, all reading: what each does and how it answers within a page's worth of tokens."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import anyio.to_thread
from factorylm_schema import BadRequestError
from factorylm_skill.call import Call
from factorylm_skill.paging import page
from factorylm_skill.skill import Settings
from factorylm_skill.tool import Arguments, ServedTool, Tool
from factorylm_skill.untrusted import told_to_the_model

from factorylm_alarms.answers import (
    Answer,
    CompareLogs,
    DescribeFlood,
    ListFloods,
    ListLogs,
    LoadLog,
    OfLog,
    RankAlarms,
    Row,
    SimulateDelays,
)

LOAD_TIMEOUT_S = 600.0
Work = Callable[[Any], Answer]


def alarm_tools(settings: Settings) -> Sequence[ServedTool]:
    """The tools over the journals below the operator's folders."""
    desk = _Desk(settings)
    tool = partial(_tool, desk)
    return [
        tool("list_logs", "List journals", "Journals that may be opened.", ListLogs),
        tool("load_log", "Load a journal", "Read a journal once; answers its log_id and how it was read.", LoadLog),
        tool("show_kpis", "Show figures", "ISA-18.2 and EEMUA 191 figures with target and definition.", OfLog),
        tool("rank_alarms", "Rank alarms", "Worst alarms, pairs, findings with evidence.", RankAlarms),
        tool("list_floods", "List floods", "Floods, or families of alike floods.", ListFloods),
        tool(
            "describe_flood", "Describe a flood", "Its alarms' order, family, alike floods; early name.", DescribeFlood
        ),
        tool(
            "simulate_delays", "Simulate delays", "Replay the log with an on- or off-delay; both costs.", SimulateDelays
        ),
        tool("compare_logs", "Compare journals", "Two logs: figures and alarms that changed most.", CompareLogs),
    ]


def _tool(desk: "_Desk", name: str, title: str, description: str, arguments: type[Arguments]) -> Tool:
    work: Work = getattr(desk, name)
    return Tool(
        name=f"alarms_{name}",
        title=title,
        description=description,
        arguments=arguments,
        result=Answer,
        run=_in_thread(work),
        timeout_s=LOAD_TIMEOUT_S if name == "load_log" else 60.0,
    )


def _in_thread(work: Work) -> Callable[[Any, Call], Awaitable[Answer]]:
    async def run(arguments: Any, _: Call) -> Answer:
        return await anyio.to_thread.run_sync(work, arguments, abandon_on_cancel=True)

    return run


class _Desk:
    """One method a tool. The heavy half is imported when a journal is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._logs: Any = None

    @property
    def logs(self) -> Any:
        if self._logs is None:
            from factorylm_alarms.loaded import LoadedLogs

            self._logs = LoadedLogs(self.settings.data)
        return self._logs

    def list_logs(self, asked: ListLogs) -> Answer:
        found = [(name, size) for name, size in self.logs.files() if asked.search.lower() in name.lower()]
        rows: list[Row] = [[told_to_the_model(name), size] for name, size in found]
        return _paged(None, f"{len(rows)} journals", ["log", "bytes"], rows, asked, "list_logs")

    def load_log(self, asked: LoadLog) -> Answer:
        from factorylm_alarms.told import told_load

        order = None if not asked.date_order else asked.date_order == "day-first"
        return told_load(self.logs.load(asked.log, day_first=order, mapping=asked.mapping))

    def show_kpis(self, asked: OfLog) -> Answer:
        from factorylm_alarms.told import told_kpis

        return told_kpis(self.logs.get(asked.log_id))

    def rank_alarms(self, asked: RankAlarms) -> Answer:
        from factorylm_alarms.told import ranking_of

        analysis = self.logs.get(asked.log_id)
        headline, columns, rows, rules = ranking_of(analysis, asked.by)
        return _paged(asked.log_id, headline, columns, rows, asked, f"rank {asked.by}", rules)

    def list_floods(self, asked: ListFloods) -> Answer:
        from factorylm_alarms.told_floods import family_rows, flood_rows

        analysis = self.logs.get(asked.log_id)
        found = family_rows(analysis) if asked.families else flood_rows(analysis, asked.definition)
        question = f"floods {asked.log_id} {asked.definition} {asked.families}"
        return _paged(asked.log_id, *found[:3], asked, question, found[3])

    def describe_flood(self, asked: DescribeFlood) -> Answer:
        from factorylm_alarms.told_floods import told_early, told_flood

        analysis = self.logs.get(asked.log_id)
        if asked.first_s:
            return told_early(analysis, asked.flood, first_s=asked.first_s)
        return told_flood(analysis, asked.flood)

    def simulate_delays(self, asked: SimulateDelays) -> Answer:
        from factorylm_alarms.loaded import alarm_called
        from factorylm_alarms.told import told_effect

        analysis = self.logs.get(asked.log_id)
        if not asked.on_s and not asked.off_s:
            raise BadRequestError("no delay was given", hint="give on_s, off_s or both")
        alarm = None if asked.alarm == "all" else alarm_called(analysis, asked.alarm)
        return told_effect(analysis, alarm, on_s=asked.on_s, off_s=asked.off_s, tie=asked.tie)

    def compare_logs(self, asked: CompareLogs) -> Answer:
        from factorylm_alarms.told import told_comparison

        return told_comparison(self.logs.get(asked.before), self.logs.get(asked.after))


def _paged(
    log_id: str | None,
    headline: str,
    columns: list[str],
    rows: list[Row],
    asked: Any,
    question: str,
    rules: list[str] | None = None,
) -> Answer:
    part, cursor = page(rows, asked.limit, asked.cursor, question)
    return Answer(
        log_id=log_id,
        headline=headline,
        columns=columns,
        rows=list(part),
        shown=len(part),
        total=len(rows),
        truncated=bool(cursor),
        cursor=cursor or None,
        rules=rules or [],
        evidence=_evidence(log_id) if log_id else None,
    )


def _evidence(log_id: str) -> str:
    return f"rows are line numbers of the journal file behind {log_id}"
