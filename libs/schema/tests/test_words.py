"""Quality, units, readings, series, alarms, manifests, names: the shared words keep their meaning."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import factorylm_schema
import pytest
from factorylm_schema import (
    AlarmEvent,
    AlarmState,
    DeviceTimeoutError,
    Diagnosis,
    FactoryLMError,
    PlantFileError,
    Quality,
    Reading,
    Rung,
    Series,
    check_unit,
    load_manifest,
    nearest,
)
from factorylm_schema.toml_lines import key_lines, line_of
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

NOW = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)


def test_all_exported_names_exist_and_are_sorted() -> None:
    assert sorted(factorylm_schema.__all__) == factorylm_schema.__all__
    assert all(hasattr(factorylm_schema, name) for name in factorylm_schema.__all__)
    assert set(factorylm_schema.__all__) <= set(dir(factorylm_schema))
    assert not hasattr(factorylm_schema, "AlarmEvnt")


def test_errors_are_imported_without_pydantic() -> None:
    code = "import sys; from factorylm_schema import FactoryLMError; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Good", 0),
        ("BadNoCommunication", 0x80310000),
        ("UncertainNoCommunicationLastUsableValue", 0x408F0000),
        ("UncertainLastUsableValue", 0x40900000),
        ("BadSensorFailure", 0x808C0000),
        ("BadTimeout", 0x800A0000),
    ],
)
def test_qualities_have_the_numbers_of_opc_ua(name: str, code: int) -> None:
    assert Quality[name].code == code
    assert Quality(name) == name


def test_every_quality_is_exactly_one_of_good_uncertain_and_bad() -> None:
    for quality in Quality:
        assert [quality.is_good, quality.is_uncertain, quality.is_bad].count(True) == 1
        assert quality.name.startswith(
            ("Good", "Uncertain", "Bad")[
                [quality.is_good, quality.is_uncertain].index(True) if not quality.is_bad else 2
            ]
        )


@pytest.mark.parametrize(
    "unit",
    [
        "",
        "Cel",
        "bar",
        "m3/h",
        "/min",
        "mm/s",
        "kW.h",
        "%",
        "mm[Hg]",
        "[in_i'H2O]",
        "10*3/L",
        "{piece}/min",
        "m.s-2",
        "kV.A{reactive}",
        "(m3/h)",
        "uS/cm",
        "[gal_us]/min",
    ],
)
def test_ucum_units_are_accepted(unit: str) -> None:
    assert check_unit(unit) == ""


@pytest.mark.parametrize(
    ("unit", "meant"), [("rpm", "'/min'"), ("°C", "'Cel'"), ("kWh", "'kW.h'"), ("psi", "'[psi]'"), ("Nm", "'N.m'")]
)
def test_a_usual_unit_that_is_not_ucum_names_the_code_that_was_meant(unit: str, meant: str) -> None:
    assert check_unit(unit).endswith(f"write {meant}")


@pytest.mark.parametrize("unit", ["foo", "m//s", "m3/", "(bar", "m s", "{a", "kmin", "²"])
def test_what_is_no_unit_is_refused_with_examples(unit: str) -> None:
    assert "examples" in check_unit(unit)


@given(st.text(max_size=60))
def test_no_text_breaks_the_unit_check(text: str) -> None:
    assert isinstance(check_unit(text), str)


def test_a_good_reading_has_a_value_and_a_bad_one_has_none() -> None:
    assert Reading(tag="a", value=1, time=NOW).quality is Quality.Good
    for wrong in (
        {"value": None, "quality": Quality.Good},
        {"value": 1, "quality": Quality.BadTimeout},
        {"value": float("nan"), "quality": Quality.Good},
        {"value": float("inf"), "quality": Quality.Uncertain},
    ):
        with pytest.raises(ValidationError):
            Reading(tag="a", time=NOW, **wrong)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError):
        Reading(tag="a", value=1, time=datetime(2026, 1, 1))  # noqa: DTZ001


def test_equal_series_have_equal_handles_and_statistics_ignore_gaps() -> None:
    times = [NOW + timedelta(seconds=i) for i in range(5)]
    series = Series(tag="a", times=times, values=[1.0, None, 3.0, 3.0, 5.0])
    assert series.handle == Series(tag="a", times=times, values=[1.0, None, 3.0, 3.0, 5.0]).handle
    assert series.handle != Series(tag="b", times=times, values=[1.0, None, 3.0, 3.0, 5.0]).handle
    found = series.statistics()
    assert (found.count, found.missing, found.minimum, found.maximum, found.mean, found.changes) == (4, 1, 1, 5, 3, 2)
    texts = Series(tag="a", times=times[:2], values=["x", True]).statistics()
    assert (texts.count, texts.mean, texts.changes) == (2, None, 1)


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        ({"active": True, "acknowledged": False}, AlarmState.UNACKNOWLEDGED),
        ({"active": True}, AlarmState.ACKNOWLEDGED),
        ({"active": False, "acknowledged": False}, AlarmState.RETURNED_UNACKNOWLEDGED),
        ({"active": False}, AlarmState.NORMAL),
        ({"active": True, "shelved": True}, AlarmState.SHELVED),
        ({"active": True, "suppressed": True, "shelved": True}, AlarmState.SUPPRESSED),
        ({"active": True, "out_of_service": True, "suppressed": True}, AlarmState.OUT_OF_SERVICE),
    ],
)
def test_an_alarms_flags_give_its_isa_18_2_state(flags: dict[str, bool], state: AlarmState) -> None:
    assert AlarmEvent(time=NOW, source="p1", name="hi", **flags).state is state


def test_a_diagnosis_is_healthy_when_no_rung_failed() -> None:
    passed = Rung(name="port", outcome="passed", evidence="open")
    assert Diagnosis(device="d", rungs=[passed, Rung(name="id", outcome="skipped", evidence="")]).healthy
    assert not Diagnosis(device="d", rungs=[passed, Rung(name="id", outcome="failed", evidence="")]).healthy


def test_an_error_says_what_happened_and_what_to_try() -> None:
    error = DeviceTimeoutError("no answer in 2 s", hint="Check the cable")
    assert str(error) == "no answer in 2 s. Check the cable"
    assert (error.code, error.quality) == ("TIMEOUT", Quality.BadTimeout)
    assert str(FactoryLMError("it failed")) == "it failed"


def test_the_nearest_names_come_first_and_long_nonsense_costs_nothing() -> None:
    assert nearest("sped", ["pressure", "speed", "Speed2"])[0] == "speed"
    assert nearest("x" * 100_000, ["b", "a"]) == ["a", "b"]


MANIFEST = """name = "factorylm-x"
title = "X"
description = "Reads X"
kind = "protocol"
owner = "the authors"
safety = "read-only"
"""


def test_a_manifest_is_read_and_its_faults_name_the_line(tmp_path: Path) -> None:
    file = tmp_path / "skill.toml"
    file.write_text(MANIFEST)
    assert load_manifest(file).listing == "free"
    file.write_text(MANIFEST.replace('kind = "protocol"', 'kind = "magic"') + "colour = 1\n")
    with pytest.raises(PlantFileError) as caught:
        load_manifest(file)
    assert [str(fault) for fault in caught.value.faults] == [
        "skill.toml:4: kind: 'magic' is not allowed; use 'protocol' or 'domain'",
        "skill.toml:7: colour: is not known here",
    ]
    file.write_text("name =")
    with pytest.raises(PlantFileError, match="not TOML"):
        load_manifest(file)


def test_lines_are_found_behind_quotes_dots_arrays_and_long_texts() -> None:
    text = 'a = """\n[b]\nc = 1\n"""\n[d."e f"]\ng.h = 1 # x\n[[t]]\nu = [\n 1,\n]\nv = \'\'\'x\n\'\'\'\nw = 2\n'
    lines = key_lines(text)
    assert lines == {
        ("a",): 1,
        ("d", "e f"): 5,
        ("d", "e f", "g", "h"): 6,
        ("t",): 7,
        ("t", "u"): 8,
        ("t", "v"): 11,
        ("t", "w"): 13,
    }
    assert line_of(("d", "e f", "zz"), lines) == 5
    assert line_of(("zz",), lines) == 1


def test_a_reading_made_unchecked_is_the_same_reading() -> None:
    parts = {"tag": "a", "value": 1.5, "unit": "bar", "time": NOW, "quality": Quality.Good}
    rest = {"problem": "", "hint": "", "address": "x", "raw": "00"}
    quick = Reading.of_checked(**parts, **rest)
    assert quick == Reading(**parts, **rest)
    assert quick.model_dump() == Reading(**parts, **rest).model_dump()
    assert quick.model_copy(update={"value": 2}).value == 2
    with pytest.raises(ValidationError):
        quick.value = 3
