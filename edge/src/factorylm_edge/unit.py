"""The gateway as a systemd service that may do nothing but its work, and reach nothing but what its files name."""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from factorylm_schema import BadRequestError, Plant

from factorylm_edge.settings import EdgeSettings

# Settings and their meaning: systemd.exec(5), systemd.resource-control(5). What it keeps is in /var/lib, which
# DynamicUser makes for it; serial lines (modbus-rtu) need DeviceAllow= and the group dialout in a drop-in of one's own.
_UNIT = """\
[Unit]
Description=FactoryLM edge gateway
Documentation=https://github.com/factorylm/factorylm
After=network.target

[Service]
ExecStart={root}/current/bin/factorylm-edge run --plant {plant} {config}--data /var/lib/factorylm-edge --page {page}
Restart=always
RestartSec=5
TimeoutStopSec=60
DynamicUser=yes
StateDirectory=factorylm-edge
StateDirectoryMode=0700
UMask=0077

# default-deny: the kernel drops what is not named here, whatever the program tries
IPAddressDeny=any
IPAddressAllow={allowed}
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SocketBindDeny=any
SocketBindAllow=ipv4:tcp:{port}

CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
DevicePolicy=closed
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

MemoryMax=512M
TasksMax=256
LimitNOFILE=4096

[Install]
WantedBy=multi-user.target
"""


def unit(
    plant: Plant,
    settings: EdgeSettings,
    *,
    plant_path: str = "/etc/factorylm/plant.toml",
    config_path: str = "",
    root: str = "/opt/factorylm",
    page: str = "127.0.0.1:8791",
    also: Iterable[str] = (),
) -> str:
    """The unit; devices and targets named by a host name need their addresses in `also`, since a name may change."""
    return _UNIT.format(
        root=root,
        plant=plant_path,
        config=f"--config {config_path} " if config_path else "",
        page=page,
        port=page.rpartition(":")[2],
        allowed=" ".join(allowed_addresses(plant, settings, also)),
    )


def allowed_addresses(plant: Plant, settings: EdgeSettings, also: Iterable[str] = ()) -> list[str]:
    """What the gateway has to reach: loopback, its devices, its targets, and what the operator adds."""
    more = [_network(text) for text in also]
    found = {"localhost": None}
    for url in [*(device.url for device in plant.devices.values()), *(forward.to for forward in settings.forward)]:
        host = urlsplit(url).hostname or ""
        if not host or host == "localhost" or _is_loopback(host):
            continue
        if not _is_address(host):
            if not more:
                raise BadRequestError(
                    f"{host} is a name, and only addresses can be let through",
                    hint="Write its address into the file, or give the network with --allow 10.0.0.0/24",
                )
            continue
        found[host] = None
    found.update(dict.fromkeys(more))
    return list(found)


def _network(text: str) -> str:
    try:
        found = ipaddress.ip_network(text)
    except ValueError as error:
        raise BadRequestError(
            f"--allow {text}: {error}", hint="An address or a network, such as 10.0.0.0/24"
        ) from error
    if found.prefixlen == 0:
        raise BadRequestError(f"--allow {text} is everything", hint="Name the networks it has to reach")
    return text


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_loopback
