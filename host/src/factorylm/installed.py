"""The skills installed beside the host."""

from factorylm_skill.installed import GROUP, InstalledSkills, installed_skills

__all__ = ["GROUP", "InstalledSkills", "installed_skills"]
