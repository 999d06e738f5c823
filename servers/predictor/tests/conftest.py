"""Simulated pumps with known truth, and one model fitted on them, shared by all tests."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factorylm_predictor.boosting import Recipe
from factorylm_predictor.example import COLUMNS, SETTINGS, PumpLife, pump_life, write_example
from factorylm_predictor.fitting import FitOptions, fit_remaining_life
from factorylm_predictor.histories import Histories, History, read_histories
from factorylm_predictor.life_model import LifeModel
from factorylm_predictor.model_file import save_model
from factorylm_predictor.remaining_life import Assessment, assess
from factorylm_predictor.tables import TableFile

QUICK = Recipe(iterations=40, rate=0.15, bins=32, repeats=1)

Pumps = list[PumpLife]
WriteCsv = Callable[[str, Sequence[str], Sequence[Sequence[object]]], Path]
Assess = Callable[[PumpLife], Assessment]
Fit = Callable[..., LifeModel]


def as_histories(pumps: Sequence[PumpLife]) -> Histories:
    return Histories(
        source="pumps",
        columns=COLUMNS,
        clock="number",
        units=tuple(History(unit=p.pump, times=p.hours, values=p.values) for p in pumps),
        rows_read=sum(len(p.hours) for p in pumps),
        rows_per_mean=1,
    )


@pytest.fixture(scope="session")
def pumps() -> Pumps:
    """Forty complete lives."""
    rng = np.random.default_rng(7)
    return [pump_life(f"P{n}", rng) for n in range(40)]


@pytest.fixture(scope="session")
def fit_pumps() -> Fit:
    def fit(pumps: Sequence[PumpLife], censored: Sequence[PumpLife] = (), **options: object) -> LifeModel:
        chosen = replace(FitOptions(settings=SETTINGS, recipe=QUICK), **options)  # type: ignore[arg-type]
        alive = as_histories(censored) if censored else None
        return fit_remaining_life(as_histories(pumps), chosen, unit_column="pump", time_column="hours", censored=alive)

    return fit


@pytest.fixture(scope="session")
def histories_of_pumps() -> Callable[[Sequence[PumpLife]], Histories]:
    return as_histories


@pytest.fixture(scope="session")
def pump_model(pumps: Pumps, fit_pumps: Fit) -> LifeModel:
    return fit_pumps(pumps)


@pytest.fixture(scope="session")
def ask(pump_model: LifeModel) -> Assess:
    """The model's answer for one pump at its last row."""

    def asked(pump: PumpLife) -> Assessment:
        return assess(pump_model, History(unit=pump.pump, times=pump.hours, values=pump.values), COLUMNS)

    return asked


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example's files and a model of its pumps, fitted quickly."""
    folder = tmp_path_factory.mktemp("pumps")
    write_example(folder)
    histories = read_histories(TableFile(folder / "runs.csv"), unit="pump", time="hours")
    options = FitOptions(settings=SETTINGS, recipe=QUICK)
    save_model(fit_remaining_life(histories, options, unit_column="pump", time_column="hours"), folder / "pumps.model")
    return folder


@pytest.fixture
def old_pump() -> PumpLife:
    """A pump the model has never seen, at nine tenths of its life."""
    pump = pump_life("NEW", np.random.default_rng(99))
    return pump.until(0.9 * pump.life_h)


@pytest.fixture
def write_csv(tmp_path: Path) -> WriteCsv:
    def write(name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(rows)
        return path

    return write
