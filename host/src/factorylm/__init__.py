"""The `factorylm` command.

- `command` reads the command line; each subcommand has a module of its name
- `installed` finds the skills that are installed
- `host` opens many skills in one process
"""

from factorylm.host import Host, open_host
from factorylm.installed import InstalledSkills, installed_skills

__all__ = ["Host", "InstalledSkills", "installed_skills", "open_host"]
