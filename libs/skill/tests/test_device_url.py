import pytest
from factorylm_skill.device_url import number_of, query_of


def test_the_known_keys_are_read_as_they_stand() -> None:
    assert query_of("rack=0&slot=", ("rack", "slot"), "s7") == {"rack": "0", "slot": ""}
    assert query_of("", ("rack",), "s7") == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("slat=1", "'slat' is not known in s7 URLs; did you mean slot"),
        ("slot=1&slot=2", "'slot' is in the URL twice"),
    ],
)
def test_a_key_that_is_unknown_or_twice_is_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        query_of(text, ("rack", "slot"), "s7")


@pytest.mark.parametrize("text", ["", "-1", "32", "١", "1.0", "9" * 30])
def test_a_number_out_of_bounds_is_refused_with_the_bounds(text: str) -> None:
    with pytest.raises(ValueError, match="slot is a number from 0 to 31"):
        number_of(text, "slot", 0, 31)


def test_where_one_number_is_allowed_it_is_named() -> None:
    assert number_of("8", "bytesize", 8, 8) == 8
    with pytest.raises(ValueError, match=r"bytesize is 8$"):
        number_of("7", "bytesize", 8, 8)
