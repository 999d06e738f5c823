"""Units in UCUM, the unit code that machines can read (https://ucum.org/ucum)."""

import re

# Atoms a plant meets; the metric ones take a prefix. Case-sensitive, as UCUM's "c/s" column.
_METRIC = frozenset(
    """
    m g s A K mol cd rad sr Hz N Pa J W C V F Ohm S Wb T H lm lx Bq Gy Sv L l t bar eV kat Cel cal B
    Np u m[H2O] m[Hg] dyn erg G P St cal_IT gf
    """.split()
)
_PLAIN = frozenset(
    """
    % [ppth] [ppm] [ppb] min h d wk mo a deg ' '' gon 10* 10^ har [pH] [degF] [degR] [in_i] [ft_i]
    [yd_i] [mi_i] [gal_us] [gal_br] [bbl_us] [qt_us] [pt_us] [foz_us] [lb_av] [oz_av] [ston_av]
    [lton_av] [lbf_av] [psi] [HP] [Btu] [Btu_IT] [cal_IT] [kn_i] [acr_us] [sft_i] [cft_i] [cin_i]
    [sin_i] [g] [c] atm att [in_i'H2O] [in_i'Hg]
    """.split()
)
_PREFIXES = frozenset("Y Z E P T G M k h da d c m u n p f a z y".split())

# What people write instead
_MEANT = {
    "rpm": "/min", "1/min": "/min", "min-1": "/min", "U/min": "/min", "°C": "Cel", "degC": "Cel",
    "celsius": "Cel", "C°": "Cel", "°F": "[degF]", "degF": "[degF]", "°": "deg", "psi": "[psi]",
    "PSI": "[psi]", "hp": "[HP]", "ohm": "Ohm", "Ω": "Ohm", "µm": "um", "μm": "um", "gpm":
    "[gal_us]/min", "GPM": "[gal_us]/min", "lpm": "L/min", "l/min.": "L/min", "kWh": "kW.h", "Wh":
    "W.h", "MWh": "MW.h", "Ah": "A.h", "Nm": "N.m", "VA": "V.A", "kVA": "kV.A", "var":
    "V.A{reactive}", "kvar": "kV.A{reactive}", "sec": "s", "hr": "h", "hour": "h", "hours": "h",
    "percent": "%", "ppm": "[ppm]", "pcs": "{piece}", "pieces": "{piece}", "in": "[in_i]", "inch":
    "[in_i]", "ft": "[ft_i]", "lb": "[lb_av]", "lbs": "[lb_av]", "m³": "m3", "m³/h": "m3/h", "m²":
    "m2", "mm/sec": "mm/s", "mmHg": "mm[Hg]", "mH2O": "m[H2O]", "pH": "[pH]", "mbarg": "mbar",
    "barg": "bar", "bara": "bar",
}  # fmt: skip

_TERM = re.compile(
    r"(?P<atom>10[*^]|\[[^\]]+\]|m\[(?:H2O|Hg)\]|[A-Za-z]+(?:\[[^\]]+\])?|%|'{1,2}|\d+)?(?P<power>[+-]?\d+)?(?P<note>\{[^{}]*\})?"
)


def check_unit(unit: str) -> str:
    """Empty when `unit` is UCUM (or empty); otherwise what is wrong and the code that was probably meant."""
    if not unit or _is_ucum(unit):
        return ""
    meant = _MEANT.get(unit) or _MEANT.get(unit.strip())
    if meant:
        return f"{unit!r} is not a UCUM unit; write {meant!r}"
    return f"{unit!r} is not a UCUM unit (examples: Cel, bar, m3/h, /min, mm/s, kW.h, %)"


def _is_ucum(unit: str) -> bool:
    if not unit.isascii() or " " in unit or unit.count("(") != unit.count(")"):
        return False
    flat = unit.replace("(", "").replace(")", "")
    terms = re.split(r"[./](?![^{]*\})", flat.removeprefix("/"))
    return all(term and _is_term(term) for term in terms)


def _is_term(term: str) -> bool:
    found = _TERM.fullmatch(term)
    if not found:
        return False
    atom = found["atom"]
    if atom is None:
        return found["note"] is not None and found["power"] is None
    if atom.isdigit():
        return found["power"] is None
    return _is_atom(atom)


def _is_atom(atom: str) -> bool:
    if atom in _METRIC or atom in _PLAIN:
        return True
    return any(atom.startswith(prefix) and atom[len(prefix) :] in _METRIC for prefix in _PREFIXES)
