"""Reads tags in the fewest requests; every status code ends up in its tag's reading."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from factorylm_schema import Quality, Reading, Tag
from factorylm_skill.engineering import to_reading

from factorylm_opcua.address import NodeAddress, parse
from factorylm_opcua.datavalue import Sample
from factorylm_opcua.failures import TOO_MUCH, RefusedError
from factorylm_opcua.library import NodeId, ReadParameters
from factorylm_opcua.plan import batches, distinct
from factorylm_opcua.session import Session, read_parameters
from factorylm_opcua.status import quality_of, words
from factorylm_opcua.structures import spelled_out
from factorylm_opcua.values import NAMES, TYPE_IDS, UnusableValueError, one_value

_MOST_PREPARED = 32


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a tag's value is: its canonical address, or why there is none."""

    address: NodeAddress | None
    text: str
    problem: str = ""
    hint: str = ""
    quality: Quality = Quality.Good


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A batch made ready: per tag its place and which sample is its; per sample its node; the requests to send."""

    places: list[Place]
    positions: list[int | None]
    nodes: list[NodeId]
    requests: list[ReadParameters]


async def read_tags(session: Session, tags: Sequence[Tag]) -> list[Reading]:
    """One reading per tag, in order."""
    prepared = prepare(session, tags)
    samples = await spelled_out(session, prepared.nodes, await _fetch(session, prepared.requests))
    now = session.clock()
    return [
        refused(tag, place, now) if position is None else to_reading_of(tag, place.text, samples[position], now)
        for tag, place, position in zip(tags, prepared.places, prepared.positions, strict=True)
    ]


def prepare(session: Session, tags: Sequence[Tag]) -> Prepared:
    """The requests for these tags; remembered, since polls ask for the same tags again and again."""
    key = ("read", session.limits.read, *(tag.address for tag in tags))
    found = session.remembered.get(key)
    if found is None:
        found = _prepared(session, tags)
        kept = [k for k in session.remembered if k[0] == "read"]
        if len(kept) >= _MOST_PREPARED:
            del session.remembered[kept[0]]
        session.remembered[key] = found
    prepared: Prepared = found
    return prepared


def place_of(session: Session, tag: Tag) -> tuple[Place, NodeId | None]:
    """The tag's canonical address and node id, or in the place why it has none."""
    try:
        address = parse(tag.address)
    except ValueError as error:
        hint = "Browse shows every address"
        return _nowhere(tag, str(error), hint, Quality.BadNodeIdInvalid), None
    address = session.canonical(address)
    try:
        node = session.node_id(address)
    except ValueError as error:
        hint = f"Its namespaces are: {', '.join(session.namespaces[1:10])}"
        return _nowhere(tag, str(error), hint, Quality.BadNodeIdUnknown), None
    return Place(address=address, text=address.text), node


def refused(tag: Tag, place: Place, now: datetime) -> Reading:
    """The reading of a tag that was not asked for."""
    return bad_reading(tag, place.quality, place.problem, place.hint, now, place.text)


def to_reading_of(tag: Tag, address: str, sample: Sample, now: datetime) -> Reading:
    """What the server sent, as the tag's reading: status first, then value, then engineering units."""
    time = sample.source_time or now
    quality = quality_of(sample.status) if sample.status else Quality.Good
    if quality.is_bad:
        problem, hint = words(sample.status)
        return bad_reading(tag, quality, problem, hint, time, address)
    element = parse(tag.address).element if ";index=" in tag.address else ()
    try:
        value = one_value(sample.value, sample.type_id, element)
    except UnusableValueError as error:
        return bad_reading(tag, Quality.BadNotSupported, str(error), error.hint, time, address)
    if tag.type and TYPE_IDS[tag.type] != sample.type_id:
        problem = f"the node is now of type {NAMES.get(sample.type_id, 'unknown')}, the plant file says {tag.type}"
        return bad_reading(tag, Quality.BadTypeMismatch, problem, "Check the node, then the plant file", time, address)
    reading = to_reading(tag, value, time, address=address)
    if quality.is_uncertain and reading.quality.is_good:
        problem, hint = words(sample.status)
        return reading.model_copy(update={"quality": quality, "problem": problem, "hint": hint})
    return reading


def bad_reading(tag: Tag, quality: Quality, problem: str, hint: str, time: datetime, address: str) -> Reading:
    """Why there is no value."""
    return Reading(tag=tag.id, unit=tag.unit, time=time, quality=quality, problem=problem, hint=hint, address=address)


def _nowhere(tag: Tag, problem: str, hint: str, quality: Quality) -> Place:
    return Place(address=None, text=tag.address, problem=problem, hint=hint, quality=quality)


def _prepared(session: Session, tags: Sequence[Tag]) -> Prepared:
    places, nodes, asked = [], [], []
    for tag in tags:
        place, node = place_of(session, tag)
        places.append(place)
        asked.append(node is not None)
        if node is not None and place.address:
            nodes.append((replace(place.address, element=()), node))
    unique, where = distinct([address for address, _ in nodes])
    by_address = dict(nodes)
    requests = [
        read_parameters(by_address[address] for address in part) for part in batches(unique, session.limits.read)
    ]
    position = iter(where)
    positions = [next(position) if was else None for was in asked]
    asked_for = [by_address[address] for address in unique]
    return Prepared(places=places, positions=positions, nodes=asked_for, requests=requests)


async def _fetch(session: Session, requests: Sequence[ReadParameters]) -> list[Sample]:
    """All samples in order, `max_in_flight` requests at a time."""
    most = session.endpoint.max_in_flight
    samples: list[Sample] = []
    for start in range(0, len(requests), most):
        together = requests[start : start + most]
        if len(together) == 1:
            samples += await _one(session, together[0])
            continue
        for part in await asyncio.gather(*(_one(session, request) for request in together)):
            samples += part
    return samples


async def _one(session: Session, request: ReadParameters) -> list[Sample]:
    """One request's samples; in smaller requests, now and from now on, where it is too much for the server."""
    nodes = request.NodesToRead
    if len(nodes) <= session.limits.read:
        try:
            return await session.read(request)
        except RefusedError as error:
            if error.status not in TOO_MUCH or len(nodes) == 1:
                raise
            session.limits = session.limits.reading_less(len(nodes))
    samples: list[Sample] = []
    for part in batches(nodes, session.limits.read):
        samples += await _one(session, read_parameters(node.NodeId for node in part))
    return samples
