"""Who a device says it is, and what is not believed."""

import pytest
from factorylm_modbus.endpoint import Link
from factorylm_schema import BadReplyError, Identity

LINKS = [Link.TCP, Link.RTU_TCP]


@pytest.mark.parametrize("link", LINKS)
async def test_the_identity_is_read_page_by_page(link, opened, simulated_device):
    async with opened(link=link) as driver:
        identity = await driver.identify()
    assert (identity.vendor, identity.product, identity.revision) == ("FactoryLM", "Simulated pump station", "0.1")
    assert identity.details == {"product_code": "SIM-PUMP", "model_name": "FLM-PUMP-01"}


@pytest.mark.parametrize("link", LINKS)
async def test_a_device_that_does_not_tell_its_identity_has_none(link, opened, simulated_device):
    simulated_device.identity = {}
    simulated_device.unsupported = frozenset({43})
    async with opened(link=link) as driver:
        assert await driver.identify() == Identity()


@pytest.mark.parametrize(
    "answer",
    ["2b0e0182000001", "2b0e018200000100", "2b0e01820000010005466163", "2b0e018200000000ff", "2b0e01"],
)
async def test_an_identity_that_breaks_off_is_not_believed(answer, opened, simulated_device):
    simulated_device.scripted = {43: bytes.fromhex(answer)}
    async with opened() as driver:
        with pytest.raises(BadReplyError):
            await driver.identify()


async def test_an_identity_that_never_ends_is_read_a_bounded_number_of_times(opened, simulated_device):
    # more follows, next object 0: the same page again and again
    simulated_device.scripted = {43: bytes.fromhex("2b0e0282ff00010001") + b"A"}
    async with opened() as driver:
        identity = await driver.identify()
    assert identity.vendor == "A"
    assert simulated_device.requests == 1
