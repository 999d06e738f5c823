"""Quantities a machine's physics makes out of its tags. Units are in the names; everything takes numbers or arrays."""

from dataclasses import dataclass

import numpy as np

from factorylm_predictor.arrays import Floats


def shaft_power_w(torque_nm: Floats | float, speed_per_min: Floats | float) -> Floats | float:
    """Mechanical power on a shaft."""
    return torque_nm * speed_per_min * (2 * np.pi / 60)


def temperature_difference_k(hot_k: Floats | float, cold_k: Floats | float) -> Floats | float:
    """What drives heat out of a process; in kelvin or in °C alike."""
    return hot_k - cold_k


def wear_strain(wear_min: Floats | float, torque_nm: Floats | float) -> Floats | float:
    """Tool wear times torque: a worn tool under load breaks, either alone does not break it."""
    return wear_min * torque_nm


def hydraulic_power_w(flow_m3_per_s: Floats | float, pressure_rise_pa: Floats | float) -> Floats | float:
    """What a pump puts into the fluid."""
    return flow_m3_per_s * pressure_rise_pa


def pump_efficiency(
    flow_m3_per_s: Floats | float, pressure_rise_pa: Floats | float, power_w: Floats | float
) -> Floats | float:
    """Hydraulic over absorbed power; falls with wear at the same operating point."""
    return hydraulic_power_w(flow_m3_per_s, pressure_rise_pa) / power_w


@dataclass(frozen=True, kw_only=True)
class Bearing:
    """Rolling bearing geometry, from its data sheet."""

    balls: int
    ball_diameter_mm: float
    pitch_diameter_mm: float
    contact_angle_deg: float = 0.0


@dataclass(frozen=True, kw_only=True)
class BearingFrequencies:
    """Where a defect shows in the vibration spectrum, inner race turning, without slip (ISO 15243 damage sites)."""

    outer_race_hz: float
    inner_race_hz: float
    ball_hz: float
    cage_hz: float


def bearing_frequencies(bearing: Bearing, shaft_hz: float) -> BearingFrequencies:
    """The kinematic defect frequencies; real ones lie one or two percent lower, from slip."""
    ratio = bearing.ball_diameter_mm / bearing.pitch_diameter_mm * float(np.cos(np.radians(bearing.contact_angle_deg)))
    return BearingFrequencies(
        outer_race_hz=bearing.balls / 2 * shaft_hz * (1 - ratio),
        inner_race_hz=bearing.balls / 2 * shaft_hz * (1 + ratio),
        ball_hz=bearing.pitch_diameter_mm / (2 * bearing.ball_diameter_mm) * shaft_hz * (1 - ratio**2),
        cage_hz=shaft_hz / 2 * (1 - ratio),
    )
