"""A plant that behaves: a pump station and a packaging line with physics, controllers, alarms and faults.

- `machines` holds the equations, machine by machine
- `faults` says what can go wrong, how it grows, and records the truth
- `limits` turns signals into alarms
- `plant` puts them together and steps them through time
- `areas` shows the plant as four devices, one per protocol
- `trial` moves the drive on purpose, so that a model can be learnt
- `export` writes days of history and alarm journals with the truth
"""

from factorylm.demo_plant.areas import AREAS, Area
from factorylm.demo_plant.faults import FAULTS, PlantFault
from factorylm.demo_plant.plant import DemoPlant

__all__ = ["AREAS", "FAULTS", "Area", "DemoPlant", "PlantFault"]
