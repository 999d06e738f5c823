"""The planner: every want is answered once, every packet fits, and fewer packets are not possible."""

from collections.abc import Iterator, Sequence

from factorylm_enip import cip
from factorylm_enip.address import parse
from factorylm_enip.plan import Packet, Want, plan
from hypothesis import given
from hypothesis import strategies as st

ROOM = 498


def _single(name: str, size: int = 4) -> Want:
    return Want(segments=cip.symbol(name), size=size)


def _element(name: str, element: int, size: int = 4) -> Want:
    return Want(segments=cip.symbol(name), size=size, element=element)


SINGLES = st.builds(_single, st.sampled_from(["A", "Bcd", "Longer_name", "X" * 40]), st.sampled_from([1, 4, 8, 88]))
ELEMENTS = st.builds(_element, st.sampled_from(["Arr", "Other"]), st.integers(0, 400), st.sampled_from([4]))


def _sizes(packet: Packet) -> tuple[int, int]:
    """Bytes of request and answer, counted from the services themselves."""
    requests = [part.sent_for(range(1000)).request for part in packet]
    answers = [bytes(4 + part.prefix + part.size * part.count) for part in packet]
    if len(packet) == 1:
        return len(requests[0]), len(answers[0])
    return 1 + len(cip.MULTIPLE_PATH) + len(cip.multiple(requests)), 4 + len(cip.multiple(answers))


@given(st.lists(st.one_of(SINGLES, ELEMENTS), max_size=60), st.sampled_from([200, ROOM, 3998]))
def test_every_want_is_answered_once_and_every_packet_fits(wants, room):
    packets = plan(wants, room)
    answered = sorted(want for packet in packets for part in packet for want in part.wants)
    assert answered == list(range(len(wants)))
    for packet in packets:
        assert max(_sizes(packet)) <= room
        for part in packet:
            for want in part.wants:
                assert part.segments == wants[want].segments
                if part.first is not None:
                    assert part.first <= wants[want].element < part.first + part.count


def test_neighbours_are_one_service_and_gaps_are_bridged_where_that_is_free():
    packets = plan([_element("Arr", n) for n in (0, 1, 2, 4, 5, 100)], ROOM)
    assert [(p.first, p.count) for packet in packets for p in packet] == [(0, 6), (100, 1)]


def test_the_same_tag_twice_is_asked_for_once():
    [[part]] = plan([_single("A"), _single("A")], ROOM)
    assert part.wants == (0, 1)


def test_one_value_that_no_packet_can_hold_stands_alone():
    packets = plan([_single("A", 5000), _single("B")], ROOM)
    assert [[part.size for part in packet] for packet in packets] == [[5000], [4]]


@given(st.integers(1, 300), st.sampled_from([4, 8]), st.sampled_from([200, ROOM]))
def test_equal_tags_are_packed_into_the_fewest_packets(count, size, room):
    """Where all services are of one size, the fewest packets are those that hold as many as fit."""
    wants = [_single(f"Tag_{number:04}", size) for number in range(count)]
    most = 0
    while _fits_together(wants[0], most + 1, room):
        most += 1
    assert len(plan(wants, room)) == -(-count // most)


@given(st.integers(0, 3000), st.integers(1, 3000), st.sampled_from([ROOM, 3998]))
def test_a_contiguous_run_takes_as_few_packets_as_its_bytes_do(start, count, room):
    wants = [_element("Arr", start + number) for number in range(count)]
    assert len(plan(wants, room)) == -(-4 * count // ((room - 6) // 4 * 4))


@given(st.lists(st.integers(0, 90), min_size=1, max_size=5, unique=True), st.sampled_from([60, 90, 130]))
def test_scattered_elements_take_at_most_one_packet_more_than_the_best_of_all_plans(elements, room):
    """Which gaps to bridge so that all packets fill up is a knapsack; in packets of this size one may be left over."""
    wants = [_element("Arr", element) for element in elements]
    assert len(plan(wants, room)) <= _fewest(sorted(elements), room) + 1


@given(
    st.lists(
        st.builds(_single, st.text("ABCDEF", min_size=1, max_size=12), st.integers(1, 60)),
        max_size=5,
        unique_by=lambda want: want.segments,
    ),
    st.sampled_from([90, 130]),
)
def test_mixed_single_tags_take_at_most_one_packet_more_than_the_best_of_all_plans(wants, room):
    """First-fit by decreasing size: the bound for two resources at this size, checked by trying all partitions."""
    if wants:
        assert len(plan(wants, room)) <= _fewest_singles(wants, room) + 1


def test_a_plan_of_many_tags_is_never_far_from_what_its_bytes_need():
    wants = [_single(f"Machine{n % 17}_Value_{n}", (1, 4, 8, 88)[n % 4]) for n in range(1000)]
    packets = plan(wants, 3998)
    request = sum(2 + 1 + 1 + len(want.segments) + 2 for want in wants)
    reply = sum(2 + 4 + want.prefix + want.size for want in wants)
    assert len(packets) == -(-max(request, reply) // (3998 - 8))


def _fits_together(want: Want, count: int, room: int) -> bool:
    request = (4 + len(want.segments), 6 + want.size)
    single = max(request) <= room
    batch = max(8 + count * (2 + request[0]), 6 + count * (2 + request[1])) <= room
    return single if count == 1 else batch


def _fewest(elements: Sequence[int], room: int) -> int:
    """Every way to join neighbours into runs, and every way to put the runs into packets."""
    best = len(elements)
    for runs in _joinings(elements):
        services = [(4 + len(parse("Arr[1]").segments), 6 + 4 * (run[-1] - run[0] + 1)) for run in runs]
        if all(max(service) <= room for service in services):
            best = min(best, _fewest_bins(services, room))
    return best


def _joinings(elements: Sequence[int]) -> Iterator[list[list[int]]]:
    for cuts in range(2 ** (len(elements) - 1)):
        runs = [[elements[0]]]
        for number, element in enumerate(elements[1:]):
            if cuts >> number & 1:
                runs.append([element])
            else:
                runs[-1].append(element)
        yield runs


def _fewest_singles(wants: Sequence[Want], room: int) -> int:
    return _fewest_bins([(4 + len(w.segments), 4 + w.prefix + w.size) for w in wants], room)


def _fewest_bins(services: Sequence[tuple[int, int]], room: int) -> int:
    return min(len(bins) for bins in _partitions(list(services)) if all(_holds(b, room) for b in bins))


def _holds(services: Sequence[tuple[int, int]], room: int) -> bool:
    if len(services) == 1:
        return True  # what is larger than a packet goes in fragments
    return max(8 + sum(2 + s[0] for s in services), 6 + sum(2 + s[1] for s in services)) <= room


def _partitions(items: list[tuple[int, int]]) -> Iterator[list[list[tuple[int, int]]]]:
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for smaller in _partitions(rest):
        yield [[first], *smaller]
        for number, group in enumerate(smaller):
            yield [*smaller[:number], [first, *group], *smaller[number + 1 :]]
