"""`factorylm read TAG…`: the answer an assistant gets, without an assistant."""

import argparse
import asyncio
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack

import anyio
from factorylm_schema import FactoryLMError, Plant, Reading
from factorylm_skill import Devices
from factorylm_skill.answers import ReadAnswer
from factorylm_skill.process import configure_logging
from factorylm_skill.reading_table import read_answer

from factorylm.installed import InstalledSkills, installed_skills
from factorylm.printing import print_json, print_line, print_table
from factorylm.serve import add_plant_options, plant_of


class NotAllGoodError(FactoryLMError):
    """Some tags have no good value; they were printed."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The subcommand's options."""
    parser.add_argument("tags", nargs="+", metavar="TAG", help="pump1.speed, or pump1/RAW-ADDRESS")
    add_plant_options(parser)
    parser.add_argument("--json", action="store_true", help="the answer as an assistant gets it")


def run(options: argparse.Namespace) -> None:
    """Read once and print; raises NotAllGoodError after printing when a tag is not good."""
    configure_logging("ERROR")
    answer = anyio.run(_read, options)
    if options.json:
        print_json(answer.model_dump(mode="json", exclude_none=True))
    else:
        _print(answer)
    if answer.problems:
        raise NotAllGoodError(f"{len(answer.problems)} of {len(options.tags)} tags have no good value")


async def _read(options: argparse.Namespace) -> ReadAnswer:
    found = installed_skills()
    async with AsyncExitStack() as stack:
        devices = {re.split(r"[./]", tag, maxsplit=1)[0] for tag in options.tags}
        plant = await plant_of(options, found, stack, devices=devices)
        return await read_once(plant, found, options.tags)


async def read_once(plant: Plant, found: InstalledSkills, references: Sequence[str]) -> ReadAnswer:
    """Every tag by the skill that speaks its protocol, in the order asked."""
    tags = [plant.tag(reference) for reference in dict.fromkeys(references)]
    lines = [Devices(plant.only(skill.dialect.schemes), skill.connect) for skill in found.protocols]
    try:
        parts = [(devices, [tag for tag in tags if tag.device in devices.plant.devices]) for devices in lines]
        answers = await asyncio.gather(*(devices.read(part) for devices, part in parts if part))
        readings: dict[str, Reading] = {reading.tag: reading for answer in answers for reading in answer}
        unserved = [tag.device for tag in tags if tag.id not in readings]
        if unserved:
            scheme = plant.device(unserved[0]).scheme
            raise FactoryLMError(
                f"no installed skill speaks {scheme}://", hint="factorylm skills lists what is installed"
            )
        ordered = [readings[tag.id] for tag in tags]
        return read_answer(ordered, [lines[0].problem(r) for r in ordered if not r.quality.is_good])
    finally:
        await asyncio.gather(*(devices.close() for devices in lines))


def _print(answer: ReadAnswer) -> None:
    if answer.rows:
        print_table(answer.columns, answer.rows)
    for problem in answer.problems:
        print_line(f"{problem.tag}: {problem.quality}: {problem.problem}. {problem.hint or ''}".rstrip())
    print_line(f"read at {answer.time}")
