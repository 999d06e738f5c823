"""How a FactoryLM skill is served over MCP, guarded, hosted and tested.

A skill hands over one value, `ProtocolSkill` (a driver for a field protocol) or `DomainSkill` (functions), and
gets a server, a command line and the contract checks (`factorylm_skill.testing`).
"""

from factorylm_skill.audit import AuditFinding, AuditLog
from factorylm_skill.call import Call
from factorylm_skill.call_record import CallRecord
from factorylm_skill.command import OperatorCommand, run_skill, skill_server
from factorylm_skill.desk import ApprovalDesk
from factorylm_skill.devices import Devices, StandingAlarms
from factorylm_skill.driver import BrowsePage, Browses, Diagnoses, Driver, Samples, before_sending
from factorylm_skill.engineering import shortest, to_raw, to_reading
from factorylm_skill.faults import FaultKind, FaultSwitches
from factorylm_skill.live_process import LiveProcess, Signal
from factorylm_skill.owner_thread import OwnerThread
from factorylm_skill.paging import page
from factorylm_skill.process_plant import process_plant
from factorylm_skill.protocol import ProtocolSkill
from factorylm_skill.server import build_server
from factorylm_skill.shelf import SeriesShelf
from factorylm_skill.simulation import Simulation
from factorylm_skill.skill import DomainSkill, OpenSkill, Settings, Skill
from factorylm_skill.tool import Arguments, RawTool, Tool
from factorylm_skill.untrusted import told_to_the_model

__all__ = [
    "ApprovalDesk",
    "Arguments",
    "AuditFinding",
    "AuditLog",
    "BrowsePage",
    "Browses",
    "Call",
    "CallRecord",
    "Devices",
    "Diagnoses",
    "DomainSkill",
    "Driver",
    "FaultKind",
    "FaultSwitches",
    "LiveProcess",
    "OpenSkill",
    "OperatorCommand",
    "OwnerThread",
    "ProtocolSkill",
    "RawTool",
    "Samples",
    "SeriesShelf",
    "Settings",
    "Signal",
    "Simulation",
    "Skill",
    "StandingAlarms",
    "Tool",
    "before_sending",
    "build_server",
    "page",
    "process_plant",
    "run_skill",
    "shortest",
    "skill_server",
    "to_raw",
    "to_reading",
    "told_to_the_model",
]
