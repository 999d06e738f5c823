"""The reading tools of every protocol skill: list, read, browse, diagnose."""

from factorylm_schema import BadRequestError, Diagnosis, Identity, Rung, Tag, Value

from factorylm_skill.answers import (
    Browse,
    Diagnose,
    DiagnoseAnswer,
    ListTags,
    ReadAnswer,
    ReadTags,
    Row,
    TableAnswer,
)
from factorylm_skill.call import Call
from factorylm_skill.devices import Devices
from factorylm_skill.driver import BrowsePage, Browses, Diagnoses, Driver
from factorylm_skill.paging import page
from factorylm_skill.reading_table import read_answer, shown
from factorylm_skill.tool import Tool
from factorylm_skill.untrusted import LONGEST_ADVICE, told_to_the_model


def list_tool(prefix: str, devices: Devices) -> Tool:
    """`<prefix>_list_tags`."""

    async def run(asked: ListTags, _: Call) -> TableAnswer:
        if asked.device:
            devices.plant.device(asked.device)
        word = asked.search.lower()
        found = [
            tag
            for tag in devices.plant.tags()
            if asked.device in ("", tag.device) and (word in tag.id.lower() or word in tag.description.lower())
        ]
        rows, cursor = page(found, asked.limit, asked.cursor, f"{asked.device}\n{asked.search}")
        return TableAnswer(
            columns=["tag", "address", "type", "unit", "description", "writable"],
            rows=[_tag_row(tag) for tag in rows],
            truncated=bool(cursor),
            cursor=cursor or None,
            note=_why_none(devices, asked) if not found else None,
        )

    return Tool(
        name=f"{prefix}_list_tags",
        title="List tags",
        description="The tags of the plant file: name, address, type, unit, description, writable.",
        arguments=ListTags,
        result=TableAnswer,
        run=run,
    )


def read_tool(prefix: str, devices: Devices, example: str) -> Tool:
    """`<prefix>_read_tags`."""

    async def run(asked: ReadTags, _: Call) -> ReadAnswer:
        tags, unknown = devices.asked(asked.tags)
        readings = await devices.read(tags)
        return read_answer(readings, [*(devices.problem(r) for r in readings if not r.quality.is_good), *unknown])

    return Tool(
        name=f"{prefix}_read_tags",
        title="Read tags",
        description=(
            "Present values with unit and UTC time. What is not good stands in problems with its reason. "
            f"Raw address: device/{example}."
        ),
        arguments=ReadTags,
        result=ReadAnswer,
        run=run,
        open_world=True,
    )


def browse_tool(prefix: str, devices: Devices, shows: str) -> Tool:
    """`<prefix>_browse`."""

    async def run(asked: Browse, _: Call) -> TableAnswer:
        async def job(driver: Driver) -> BrowsePage:
            if not isinstance(driver, Browses):
                raise BadRequestError(f"{asked.device} cannot be browsed")
            return await driver.browse(asked.path, asked.search, asked.limit, asked.cursor)

        found = await devices.line(asked.device).run(job)
        rows: list[Row] = [[shown(cell) for cell in row] for row in found.rows]
        return TableAnswer(columns=found.columns, rows=rows, truncated=bool(found.cursor), cursor=found.cursor or None)

    return Tool(
        name=f"{prefix}_browse",
        title="Browse a device",
        description=shows,
        arguments=Browse,
        result=TableAnswer,
        run=run,
        open_world=True,
    )


def diagnose_tool(prefix: str, devices: Devices) -> Tool:
    """`<prefix>_diagnose`."""

    async def run(asked: Diagnose, _: Call) -> DiagnoseAnswer:
        return _told(await devices.line(asked.device).run(_diagnosed))

    async def _diagnosed(driver: Driver) -> Diagnosis:
        if isinstance(driver, Diagnoses):
            return await driver.diagnose()
        identity = await driver.identify()
        return Diagnosis(
            device="",
            rungs=[Rung(name="identity", outcome="passed", evidence="the device answered")],
            identity=identity,
        )

    return Tool(
        name=f"{prefix}_diagnose",
        title="Diagnose a device",
        description="Walks from the network to the data, with evidence, and the next step where one fails.",
        arguments=Diagnose,
        result=DiagnoseAnswer,
        run=run,
        open_world=True,
    )


def _why_none(devices: Devices, asked: ListTags) -> str:
    if not devices.plant.devices:
        return "No device in the plant file speaks this protocol; the operator starts with --plant FILE or --simulate"
    if asked.search:
        return f"No tag has {told_to_the_model(asked.search, 60)!r} in its name or description"
    return "The plant file names no tags here; read raw addresses, or browse the device"


def _tag_row(tag: Tag) -> Row:
    return [
        tag.id,
        tag.address,
        tag.type,
        tag.unit,
        told_to_the_model(tag.description),
        tag.write is not None,
    ]


def _told(diagnosis: Diagnosis) -> DiagnoseAnswer:
    failed = next((rung for rung in diagnosis.rungs if rung.outcome == "failed"), None)
    verdict = f"{failed.name} failed: {failed.evidence}" if failed else "every step passed"
    return DiagnoseAnswer(
        verdict=told_to_the_model(verdict, 300),
        columns=["step", "outcome", "evidence", "next_step"],
        rows=[[r.name, r.outcome, _advice(r.evidence), _advice(r.next_step)] for r in diagnosis.rungs],
        identity=_identity(diagnosis.identity) if diagnosis.identity else None,
    )


def _advice(text: str) -> str:
    return told_to_the_model(text, LONGEST_ADVICE)


def _identity(identity: Identity) -> dict[str, Value]:
    named = {"vendor": identity.vendor, "product": identity.product, "revision": identity.revision}
    known: dict[str, Value] = {**named, "serial": identity.serial, **identity.details}
    shown_parts = {told_to_the_model(key, 60): shown(value) for key, value in known.items()}
    return {key: value for key, value in shown_parts.items() if value is not None and value != ""}
