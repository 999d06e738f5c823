"""What the numbers in a CPU's diagnostic buffer mean.

Source: Siemens, "System Software for S7-300/400, System and Standard Functions", tables of event classes; each
entry compared with a published listing of those tables, not with a CPU. Only events that explain a stop, a
fault or a lost module are spelled out; the others are named by their class.
"""

POWER_ON, STARTUP, RUN, STOP = 0x4300, 0x4301, 0x4302, 0x4304

_CLASSES = {
    1: "organisation block event",
    2: "synchronous error in the program",
    3: "asynchronous error",
    4: "stop or mode change",
    5: "run-time event",
    6: "communication event",
    7: "fail-safe or high-availability event",
    8: "module diagnostics",
    9: "predefined user event",
    10: "user event",
    11: "user event",
}

_EVENTS = {
    0x2521: "BCD conversion error",
    0x2522: "area length error when reading",
    0x2523: "area length error when writing",
    0x2524: "area error when reading",
    0x2525: "area error when writing",
    0x2528: "alignment error when reading",
    0x2529: "alignment error when writing",
    0x2530: "write error in a data block",
    0x2532: "wrong block number when opening a data block",
    0x2534: "wrong block number when calling an FC",
    0x2535: "wrong block number when calling an FB",
    0x253A: "data block not loaded",
    0x253C: "FC not loaded",
    0x253E: "FB not loaded",
    0x2942: "I/O access error when reading",
    0x2943: "I/O access error when writing",
    0x3501: "cycle time exceeded",
    0x3921: "backup battery failed",
    0x3821: "backup battery in order again",
    0x3923: "24 V supply failed",
    0x3823: "24 V supply in order again",
    0x3942: "module fault",
    0x3842: "module in order again",
    0x3961: "module removed or not answering",
    0x3861: "module inserted",
    0x39C1: "rack failed",
    0x38C1: "rack back",
    0x39C4: "distributed I/O station failed",
    0x38C4: "distributed I/O station back",
    POWER_ON: "power on with battery backup",
    STARTUP: "from STOP to STARTUP",
    RUN: "from STARTUP to RUN",
    0x4303: "STOP by the mode switch",
    STOP: "STOP by the programming device or by the program",
    0x4307: "memory reset from the programming device",
    0x4308: "memory reset by the mode switch",
    0x430D: "STOP by another CPU",
    0x4562: "STOP because of a programming error (no OB for it)",
    0x4563: "STOP because of an I/O access error (no OB for it)",
    0x4568: "STOP because of a time error (no OB for it)",
    0x456A: "STOP because of a diagnostic interrupt (no OB for it)",
}


def told_event(number: int) -> str:
    """The event in words."""
    if number in _EVENTS:
        return _EVENTS[number]
    return _CLASSES.get(number >> 12, "event")
