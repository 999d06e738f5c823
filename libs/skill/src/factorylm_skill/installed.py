"""The skills installed in this environment, found by the entry-point group `factorylm.skills`."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from factorylm_schema import PlantDialect, UnknownNameError

from factorylm_skill.protocol import ProtocolSkill
from factorylm_skill.skill import Skill

GROUP = "factorylm.skills"


@dataclass(frozen=True, kw_only=True)
class InstalledSkills:
    """What could be loaded, by name; and what could not, with the reason."""

    skills: dict[str, Skill]
    broken: dict[str, str]

    def chosen(self, names: Sequence[str]) -> list[Skill]:
        """The skills called `names`, or all of them."""
        for name in names:
            if name not in self.skills:
                broken = self.broken.get(name, "")
                hint = f"It is installed but broken: {broken}" if broken else f"Install factorylm-{name}"
                raise UnknownNameError("installed skill", name, self.skills, hint=hint)
        return [self.skills[name] for name in names or self.skills]

    @property
    def protocols(self) -> list[ProtocolSkill]:
        """Those that speak to devices."""
        return [skill for skill in self.skills.values() if isinstance(skill, ProtocolSkill)]

    @property
    def dialects(self) -> list[PlantDialect]:
        """What they add to the plant file."""
        return [skill.dialect for skill in self.protocols]


def installed_skills() -> InstalledSkills:
    """Load every installed skill; a broken one costs only itself."""
    skills: dict[str, Skill] = {}
    broken: dict[str, str] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        if point.name in skills or point.name in broken:
            # whichever came last would speak in the other's name
            skills.pop(point.name, None)
            broken[point.name] = "two installed packages announce a skill of this name; uninstall one"
            continue
        try:
            skills[point.name] = _loaded(point)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a partner's package may fail in any way)
            broken[point.name] = f"{type(error).__name__}: {error}"
    return InstalledSkills(skills=skills, broken=broken)


def _loaded(point: EntryPoint) -> Skill:
    skill: Skill = point.load()
    if skill.name != point.name:
        raise ValueError(f"it is announced as {point.name!r} and calls itself {skill.name!r}")
    return skill
