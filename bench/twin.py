"""What-if twins beside the truth: free runs on public records, closed loops that must be refused, the demo plant.

    ./run bench twin --data DIR                  every figure, in about two minutes
    ./run bench twin --data DIR --seeds 60       more closed loops per scenario (default: 12)
    ./run bench twin --only demo                 the demo plant alone: needs no data

DIR holds `sysid/` with the estimation records. Protocol: the structure is chosen by the fit command on the first part
of each record; the last part is simulated from 50 start rows and judged here. The exchanger is cut at
three quarters, the ratio of its published split (3,000 rows to learn from, 1,000 to judge). Published figures are of
the records' own validation parts, which this benchmark does not hold: they are no direct comparison.
"""

import argparse
import gzip
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from factorylm_twin import learn, read_record, what_if
from factorylm_twin.equations import Law
from factorylm_twin.jobs import simulate_file
from factorylm_twin.tables import Wanted, record_of
from factorylm_twin.twin import Twin

START = 50
# record, outputs, share learned from, bound and unit of the first figure
RECORDS = (
    ("cascaded_tanks", ("y",), 0.6, (0.25,), ("V",)),
    ("silverbox", ("y",), 0.75, (0.50,), ("mV",)),
    ("exchanger", ("y",), 0.75, (0.15,), ("K",)),
    ("cstr", ("y_ca", "y_t"), 0.5, (2e-4, 0.04), ("mol/l", "K")),
)
SCENARIOS = ("constant", "dither", "small_steps", "steps", "manual")
TRUE_GAIN = 2.0
broken = 0


def figure(what: str, measured: float, *, most: float | None = None, least: float | None = None) -> None:
    """Print one figure with its bound."""
    global broken
    bound = f"at most {most:.10g}" if most is not None else f"at least {least:.10g}"
    kept = measured <= most if most is not None else least is not None and measured >= least
    broken += not kept
    text = f"{measured:.3f}" if abs(measured) >= 0.01 or measured == 0 else f"{measured:.6f}"
    print(f"{what:<74}  {text:>9}   {bound:<16} {'kept' if kept else 'BROKEN'}", flush=True)


def records(data: Path, folder: Path) -> None:
    """Free runs on the last part of each record."""
    for name, outputs, share, bounds, units in RECORDS:
        packed = data / "sysid" / f"{name}_est.csv.gz"
        head, *rows = gzip.decompress(packed.read_bytes()).decode().splitlines()
        cut = int(len(rows) * share)
        first, last = folder / f"{name}_first.csv", folder / f"{name}_last.csv"
        first.write_text("\n".join([head, *rows[:cut]]))
        last.write_text("\n".join([head, *rows[cut - START :]]))
        begun = time.process_time()
        twin = learn(read_record(first, Wanted(inputs=("u",), outputs=outputs)))
        took = time.process_time() - begun
        print(f"# {name}: grade {twin.grade}, {twin.outputs[0].words}, fitted in {took:.0f} CPU s")
        judge(twin, last, name, bounds, units)


def judge(twin: Twin, last: Path, name: str, bounds: Sequence[float], units: Sequence[str]) -> None:
    """Error, fit and coverage of one record's last part."""
    found = simulate_file(twin, last)
    count = len(twin.outputs)
    for j, output in enumerate(twin.outputs):
        y, run = found.measured[START:, j], found.values[START:, j]
        low, high = found.values[START:, count + 2 * j], found.values[START:, count + 2 * j + 1]
        scale = 1000.0 if units[j] == "mV" else 1.0
        label = f"{name} {output.name}"
        figure(f"{label}: free-run RMSE, {units[j]}", scale * float(np.sqrt(np.mean((y - run) ** 2))), most=bounds[j])
        fit = 100 * (1 - np.linalg.norm(y - run) / np.linalg.norm(y - y.mean()))
        covered = 100 * float(np.mean((low <= y) & (y <= high)))
        print(f"# {label}: fit {fit:.1f} %, the 90 % band covers {covered:.1f} %")
        figure(f"{label}: coverage of the 90 % band, %", covered, least=85)
        figure(f"{label}: coverage of the 90 % band, %", covered, most=95)


def what_if_time(data: Path) -> None:
    """A simulation of 600 rows, the median of 9."""
    record = read_record(data / "sysid" / "exchanger_est.csv.gz", Wanted(inputs=("u",), outputs=("y",)))
    twin = learn(record)
    part = twin.outputs[0].part
    assert part is not None
    times = []
    for _ in range(9):
        begun = time.perf_counter()
        part.run(record.u[:600], record.y[:START, 0])
        times.append(1000 * (time.perf_counter() - begun))
    figure("simulation of 600 rows, ms", float(np.median(times)), most=100)


def loop(scenario: str, seed: int, rows: int = 4800) -> dict[str, list[str]]:
    """A plant of gain 2 with a slow disturbance, held by a PI controller or moved by hand."""
    rng = np.random.default_rng(seed)
    shock, noise = rng.normal(0, 0.015, rows), rng.normal(0, 0.01, rows)
    dither = rng.choice([-0.1, 0.1], rows) if scenario == "dither" else np.zeros(rows)
    by_hand = np.repeat(rng.choice([0.0, 1.0], rows // 100 + 1), 100)[:rows]
    height = {"steps": 1.0, "small_steps": 0.1}.get(scenario, 0.0)
    sp = 1.0 + height * np.where((np.arange(rows) // 600) % 2 == 0, 1.0, -1.0)
    u, y, disturbance, total = np.zeros(rows), np.zeros(rows), 0.0, 0.0
    for k in range(rows):
        disturbance = 0.98 * disturbance + shock[k]
        if k:
            y[k] = 0.9 * y[k - 1] + 0.2 * u[k - 1] + disturbance + noise[k]
        total += 0.02 * (sp[k] - y[k])
        u[k] = by_hand[k] if scenario == "manual" else 0.5 * (sp[k] - y[k]) + total + dither[k]
    mode = "manual" if scenario == "manual" else "auto"
    numbers = {"sp": sp, "u": u, "y": y}
    return {n: [f"{v:.6g}" for v in values] for n, values in numbers.items()} | {"mode": [mode] * rows}


def loops(seeds: int) -> None:
    """Refusals and gain errors per scenario."""
    wanted = Wanted(inputs=("u",), outputs=("y",), mode="mode", setpoint="sp")
    for scenario in SCENARIOS:
        errors = []
        for seed in range(1, seeds + 1):
            twin = learn(record_of(loop(scenario, seed), wanted, scenario))
            effect = what_if(twin, [f"u=={float(twin.envelope.middle[0])}"]).effects[0]
            moved = float(twin.envelope.middle[0] - twin.last_u[-1, 0])
            if effect.change is not None and moved:
                errors.append(abs(effect.change / moved / TRUE_GAIN - 1))
        share = 100 * len(errors) / seeds
        if scenario in {"steps", "manual"}:
            figure(f"closed loop, {scenario}: answered, % of {seeds} seeds", share, least=95)
            figure(f"closed loop, {scenario}: median gain error, %", 100 * float(np.median(errors)), most=20)
        else:
            figure(f"closed loop, {scenario}: answered where refusal is due, % of {seeds}", share, most=3.34)
        wrong = sum(e > 0.5 for e in errors)
        figure(f"closed loop, {scenario}: answers off by more than half", wrong, most=0)


def demo(folder: Path) -> None:
    """The demo plant's machines against their own equations."""
    from factorylm.demo_plant.export import Story, export
    from factorylm.demo_plant.machines import RATED_SPEED, Pump

    truth = export(folder, Story(days=1.5, seed=1, moves_per_day=48))
    speed, history = "drive1.speed_setpoint", folder / "history.csv"
    pump = learn(read_record(history, Wanted(inputs=(speed,), outputs=("drive1.flow", "drive1.power"), time="time")))
    wanted = Wanted(inputs=(speed, "util1.ambient"), outputs=("drive1.bearing_temperature",), time="time")
    warm = learn(read_record(history, wanted))
    laws: list[tuple[Twin, Callable[[float], float]]] = [
        (pump, Pump.steady_flow),
        (pump, power_at),
        (warm, lambda n: Pump.BEARING_RISE * n**2 / RATED_SPEED**2),
    ]
    errors: list[float] = []
    inside: list[bool] = []
    for target in (1050.0, 1150.0, 1250.0, 1350.0):
        now = float(pump.last_u[-1, 0])
        effects = [*what_if(pump, [f"{speed}={target}"]).effects, *what_if(warm, [f"{speed}={target}"]).effects]
        for effect, (_, law) in zip(effects, laws, strict=True):
            if effect.change is None or effect.low is None or effect.high is None or effect.new is None:
                print(f"# {effect.output} at {target:g}: {effect.reason}")
                errors.append(100.0)
                continue
            true = law(target) - law(now)
            errors.append(100 * abs(effect.change / true - 1))
            inside.append(effect.low <= effect.new - effect.change + true <= effect.high)
    figure("demo plant: largest what-if error of flow, power and bearing temperature, %", max(errors), most=5)
    figure("demo plant: true new values inside their band, %", 100 * float(np.mean(inside)), least=85)
    settling = what_if(warm, [f"{speed}=1150"]).effects[0].settling or 0.0
    tau = truth["time_constants_s"]["drive1.bearing_temperature"]
    figure("demo plant: error of the bearing's time constant, %", 100 * abs(settling / math.log(50) / tau - 1), most=10)
    grey(history, truth)
    far = [what_if(t, [f"{speed}={v}"]).refused for t in (pump, warm) for v in (500, 800, 1600, 2000)]
    figure("demo plant: refused outside the envelope, %", 100 * float(np.mean(far)), least=100)


def power_at(speed: float) -> float:
    """kW of the demo plant's healthy pump, in the steady state."""
    from factorylm.demo_plant.machines import Pump

    pump = Pump(speed=speed)
    pump.flow = Pump.steady_flow(speed)
    return pump.power(0.0)


def grey(history: Path, truth: dict[str, dict[str, float]]) -> None:
    """Grey boxes of the demo plant: time constants against the truth."""
    cases = (
        ("exchanger", ("util1.water_flow", "util1.product_in", "util1.water_in"), "util1.product_out"),
        ("motor", ("pack1.motor_current", "util1.ambient"), "pack1.motor_temperature"),
    )
    for template, inputs, output in cases:
        twin = learn(read_record(history, Wanted(inputs=inputs, outputs=(output,), time="time")), template)
        part = twin.outputs[0].part
        if twin.grade == "refuse" or not isinstance(part, Law):
            print(f"# {output} by template {template}: {twin.outputs[0].reason}")
            continue
        tau = truth["time_constants_s"][output]
        print(f"# {output} by template {template}: grade {twin.grade}, fit {twin.outputs[0].fit_percent:.1f} %")
        label = f"demo plant: error of the time constant of {output}, %"
        figure(label, 100 * abs(part.time * twin.step / tau - 1), most=10)


def main(argv: Sequence[str] | None = None) -> int:
    """Print every figure; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=12, help="closed loops per scenario; default: %(default)s")
    parser.add_argument("--only", choices=["records", "time", "loops", "demo"])
    options = parser.parse_args(argv)
    parts = [options.only] if options.only else ["records", "time", "loops", "demo"]
    if options.data is None:
        parts = [p for p in parts if p in {"loops", "demo"}]
        print("without --data DIR no public records", file=sys.stderr)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs = {
            "records": lambda: records(options.data, folder),
            "time": lambda: what_if_time(options.data),
            "loops": lambda: loops(options.seeds),
            "demo": lambda: demo(folder),
        }
        for part in parts:
            jobs[part]()
    return int(broken > 0)


if __name__ == "__main__":
    raise SystemExit(main())
