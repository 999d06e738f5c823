"""What one journal row is: an alarm coming, going, being acknowledged, or something that is no alarm at all.

Rows are told apart before anything is counted. A published tool counted every row and reported 11,338
"alarms" a day, because most of its rows were neither.
"""

from enum import IntEnum


class Kind(IntEnum):
    """The class of a row; the first five belong to an alarm's life and are paired with each other."""

    ACTIVATION = 0
    RETURN = 1
    ACKNOWLEDGE = 2
    RETURN_OR_ACKNOWLEDGE = 3
    """A journal of states says "inactive, acknowledged" for both; the row before it decides."""
    ACTIVATION_OR_ACKNOWLEDGE = 4
    """"Active, acknowledged": an acknowledgement while the alarm stands, else an alarm that needs none."""
    SUPPRESS = 5
    UNSUPPRESS = 6
    SETTING = 7
    SYSTEM = 8
    OTHER = 9


LAST_OF_LIFE = Kind.ACTIVATION_OR_ACKNOWLEDGE


CLASS_OF_KIND = {
    Kind.ACTIVATION: "activation",
    Kind.RETURN: "return",
    Kind.ACKNOWLEDGE: "acknowledgement",
    Kind.RETURN_OR_ACKNOWLEDGE: "return or acknowledgement",
    Kind.ACTIVATION_OR_ACKNOWLEDGE: "activation or acknowledgement",
    Kind.SUPPRESS: "suppression",
    Kind.UNSUPPRESS: "end of suppression",
    Kind.SETTING: "setting change",
    Kind.SYSTEM: "system event",
    Kind.OTHER: "other",
}
KIND_OF_CLASS = {name: kind for kind, name in CLASS_OF_KIND.items()}

WORDS: dict[str, Kind] = {
    **dict.fromkeys(
        "ACT ACTIVE ACTIVATED ACTIVATION ALM ALARM NEW ON RAISE RAISED SET COME IN UNACK UNACK_ALM ACT/UNACK "
        "ACTIVE/UNACK KOMMT GEKOMMEN ALARM.SET INALM ACTIVE_UNACK".split(),
        Kind.ACTIVATION,
    ),
    **dict.fromkeys(
        "RTN RETURN RETURNED CLEAR CLEARED OK NORMAL NORM NR OFF INACTIVE GONE GO OUT RECOVERED RESET GEHT GEGANGEN "
        "UNACK_RTN INACT/UNACK INACTIVE/UNACK ALARM.CLEAR RTN/UNACK INACTIVE_UNACK".split(),
        Kind.RETURN,
    ),
    **dict.fromkeys(
        "ACK ACKED ACKNOWLEDGE ACKNOWLEDGED QUIT QUITTIERT QUITTIERUNG CONFIRMED ALARM.ACKNOWLEDGED".split(),
        Kind.ACKNOWLEDGE,
    ),
    "ACK PNT": Kind.ACKNOWLEDGE,
    "RETURN TO NORMAL": Kind.RETURN,
    **dict.fromkeys("ACK_RTN INACT/ACK INACTIVE/ACK INACTIVE_ACK RTN/ACK".split(), Kind.RETURN_OR_ACKNOWLEDGE),
    **dict.fromkeys("ACK_ALM ACT/ACK ACTIVE/ACK ACTIVE_ACK".split(), Kind.ACTIVATION_OR_ACKNOWLEDGE),
    **dict.fromkeys("SHELVE SHELVED SUPPRESS SUPPRESSED DISABLE DISABLED INHIBIT INHIBITED".split(), Kind.SUPPRESS),
    **dict.fromkeys("UNSHELVE UNSHELVED UNSUPPRESS UNSUPPRESSED ENABLE ENABLED".split(), Kind.UNSUPPRESS),
    **dict.fromkeys("CHANGE CHG WRITE USER.WRITE SETPOINT OPERATOR".split(), Kind.SETTING),
    **dict.fromkeys("SYSTEM SYS STARTUP SHUTDOWN LOGIN LOGOUT".split(), Kind.SYSTEM),
    **dict.fromkeys("EVENT EVT INFO MESSAGE".split(), Kind.OTHER),
}
"""What the common words of an event column mean, in capitals."""


def kind_of_word(word: str) -> Kind | None:
    """The meaning of one cell of an event column; None when the word is not known."""
    return WORDS.get(" ".join(word.upper().split()))
