"""A box without network: what is installed is what was signed, and a version that is not well gives way."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from factorylm_edge import EdgeSettings, installing
from factorylm_edge.bundling import SIGNATURE, SUMS, BundleError, bundle, new_key
from factorylm_edge.command import run
from factorylm_edge.installing import InstallError, current, health, install, installed, switch, verified
from factorylm_edge.settings import Forward
from factorylm_edge.unit import allowed_addresses, unit
from factorylm_schema import BadRequestError, Device, Plant

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="boxes run Linux: links, systemd, openssl")

ROOT = Path(__file__).parents[2]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def needed(program: str) -> str:
    """A missing program fails where everything must be there, else the test says what it takes."""
    if found := shutil.which(program):
        return found
    if os.environ.get("FACTORYLM_REQUIRE_SERVERS"):
        pytest.fail(f"{program} is not installed, and every program is required")
    pytest.skip(f"{program} is not installed")


# -- the bundle ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "factory.pem"
    new_key(path)
    return path


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our own, built as a release builds them."""
    folder = tmp_path_factory.mktemp("wheels")
    for part in ("libs/schema", "libs/skill", "edge"):
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
        subprocess.run(command, cwd=ROOT / part, capture_output=True, check=True)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, wheels: Path, key: Path) -> Path:
    """A whole bundle, with every wheel from the index that pip is set to."""
    to = tmp_path_factory.mktemp("made") / "bundle"
    try:
        told = bundle(to, ROOT / "requirements.lock", wheels, key, python=PYTHON, unit=unit(Plant(), EdgeSettings()))
    except BundleError as error:
        if "no wheel of" not in error.message or os.environ.get("CI"):
            raise
        pytest.skip(f"wheels for other machines take an index: {error.message}")
    assert told.missing == {}
    assert told.machines == ("x86_64", "aarch64")
    return to


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def test_a_bundle_installs_without_an_index_and_says_its_version(copy, key, tmp_path):
    needed("openssl")
    root = tmp_path / "opt"
    command = [sys.executable, str(copy / "install.py"), "install", str(copy), "--key", f"{key}.pub"]
    offline = {**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_CONFIG_FILE": os.devnull}
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        offline.pop(name, None)
    subprocess.run([*command, "--root", str(root), "--no-switch"], env=offline, check=True)
    assert installed(root) == ["0.1.0"]
    script = root / "versions" / "0.1.0" / "bin" / "factorylm-edge"
    told = subprocess.run([script, "--version"], capture_output=True, text=True, check=True).stdout
    assert told == "factorylm-edge 0.1.0\n"
    with pytest.raises(InstallError, match="already installed"):
        install(copy, key.with_name("factory.pem.pub"), root)


def test_a_bundle_has_both_machines_wheels_with_hashes(made):
    for machine in ("x86_64", "aarch64"):
        lines = (made / f"requirements-{machine}.txt").read_text().splitlines()
        assert {"factorylm-edge", "factorylm-schema", "factorylm-skill", "pydantic-core"} <= {
            line.split("==")[0] for line in lines
        }
        assert all("--hash=sha256:" in line for line in lines)
        assert list((made / "wheels").glob(f"pydantic_core-*{machine}.whl"))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda whole: (whole / "install.py").write_text("import os"), "install.py is not what was signed"),
        (lambda whole: (whole / "wheels" / "evil-1-py3-none-any.whl").write_text(""), "was added after signing"),
        (lambda whole: (whole / "factorylm-edge.service").unlink(), "is listed in SHA256SUMS and missing"),
        (lambda whole: (whole / SUMS).write_text((whole / SUMS).read_text() + "\n"), "is not signed with"),
        (lambda whole: (whole / SIGNATURE).write_bytes(bytes(64)), "is not signed with"),
        (lambda whole: (whole / SIGNATURE).unlink(), "is not signed with"),
        (lambda whole: (whole / SUMS).unlink(), "is no bundle"),
    ],
)
def test_a_bundle_that_was_touched_is_refused(copy, key, harm: Callable[[Path], object], told):
    needed("openssl")
    public = key.with_name("factory.pem.pub")
    assert verified(copy, public)["version"] == "0.1.0"
    harm(copy)
    with pytest.raises(InstallError, match=told):
        verified(copy, public)


def test_another_ones_key_does_not_open_a_bundle(copy, tmp_path):
    needed("openssl")
    with pytest.raises(InstallError, match="is not signed with"):
        verified(copy, new_key(tmp_path / "other.pem"))


def test_a_wheel_that_the_lock_does_not_pin_is_refused_and_one_that_is_not_there_is_named(wheels, key, tmp_path):
    lock = (ROOT / "requirements.lock").read_text()
    bent = tmp_path / "bent.lock"
    at = lock.index("\nanyio==")
    bent.write_text(lock[:at] + lock[at:].replace("--hash=sha256:", f"--hash=sha256:{'0' * 64} #", 2))
    with pytest.raises(BundleError, match=r"anyio.* is not what the lock pins"):
        bundle(tmp_path / "a", bent, wheels, key, python=PYTHON, unit="")
    with pytest.raises(BundleError, match=r"x86_64: no wheel of factorylm-nothing.*aarch64: no wheel of"):
        bundle(
            tmp_path / "b", ROOT / "requirements.lock", wheels, key, python=PYTHON, unit="", with_=["factorylm-nothing"]
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bent.lock"]


# -- switching ----------------------------------------------------------------------------------

_GATEWAY = """#!{python}
import http.server, json, sys
if {broken!r}:
    sys.exit("a version that does not start")
class Status(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({{"version": {version!r}, "trouble": {trouble!r}}}).encode())
    def log_message(self, *_): pass
class Server(http.server.HTTPServer):
    allow_reuse_address = True
Server(("127.0.0.1", {port}), Status).serve_forever()
"""


class Service:
    """What systemd does: one process of whatever `current` is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/status.json"
        self.process: subprocess.Popen[bytes] | None = None

    def add(self, version: str, *, broken: bool = False, trouble: str = "") -> None:
        script = self.root / "versions" / version / "bin" / "factorylm-edge"
        script.parent.mkdir(parents=True)
        script.write_text(
            _GATEWAY.format(python=sys.executable, broken=broken, version=version, trouble=trouble, port=self.port)
        )
        script.chmod(0o755)

    def restart(self) -> None:
        self.stop()
        command = [str(self.root / "current" / "bin" / "factorylm-edge")]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def healthy(self, seconds: float, *, but: str = "") -> Callable[[str], str]:
        """Waits so long, and for `but`, which will not be well, only a moment."""
        return lambda version: health(self.url, version, 2 if version == but else seconds)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    found = Service(tmp_path / "opt")
    yield found
    found.stop()


def test_a_version_that_does_not_start_or_is_in_trouble_gives_way_to_the_one_before(service):
    service.add("1.0")
    service.add("1.1", broken=True)
    service.add("1.2", trouble="the disk is read-only")
    service.add("1.3")
    root = service.root
    assert switch(root, "1.0", service.restart, service.healthy(20)) == ""
    with pytest.raises(InstallError, match=r"version 1.1 was not well: no status .* version 1.0 is at work again"):
        switch(
            root, "1.1", service.restart, lambda version: health(service.url, version, 1 if version == "1.1" else 20)
        )
    assert (current(root), health(service.url, "1.0", 0)) == ("1.0", "")
    with pytest.raises(InstallError, match=r"1.2 was not well: the disk is read-only; version 1.0 is at work again"):
        switch(
            root, "1.2", service.restart, lambda version: health(service.url, version, 2 if version == "1.2" else 20)
        )
    assert (current(root), health(service.url, "1.0", 0)) == ("1.0", "")
    assert switch(root, "1.3", service.restart, service.healthy(20)) == "1.0"
    assert (current(root), health(service.url, "1.3", 0)) == ("1.3", "")


def test_an_old_gateway_that_goes_on_answering_is_not_taken_for_the_new_one(service):
    service.add("1.0")
    service.add("1.1")
    switch(service.root, "1.0", service.restart, service.healthy(20))
    with pytest.raises(InstallError, match=r"version 1.0 answers at .*; version 1.0 is at work again"):
        switch(service.root, "1.1", lambda: None, service.healthy(0))


def test_a_switch_says_what_there_is_and_what_cannot_be_undone(service, capsys):
    service.add("1.0", broken=True)
    with pytest.raises(InstallError, match=r"version 2.0 is not installed; there are 1.0"):
        switch(service.root, "2.0", service.restart, service.healthy(0))
    with pytest.raises(InstallError, match=r"is not a version"):
        switch(service.root, "../1.0", service.restart, service.healthy(0))
    with pytest.raises(InstallError, match=r"there is no version before it"):
        switch(service.root, "1.0", service.restart, service.healthy(0))
    assert installing.main(["list", "--root", str(service.root)]) == 0
    assert capsys.readouterr().out == "* 1.0\n"
    assert installing.main(["switch", "3.0", "--root", str(service.root)]) == 1


# -- the unit -----------------------------------------------------------------------------------


def plant(*urls: str) -> Plant:
    return Plant(devices={f"d{at}": Device(name=f"d{at}", url=url, tags={}) for at, url in enumerate(urls)})


def test_systemd_finds_nothing_to_complain_about_and_little_exposed(tmp_path):
    analyze = needed("systemd-analyze")
    text = unit(plant("modbus-tcp://10.0.0.5:502?unit=1"), EdgeSettings())
    file = tmp_path / "factorylm-edge.service"
    file.write_text(text.replace("/opt/factorylm/current/bin/factorylm-edge", "/bin/true"))
    subprocess.run([analyze, "verify", str(file)], check=True, capture_output=True)
    said = subprocess.run(
        [analyze, "security", "--offline=yes", "--json=short", "--threshold=20", str(file)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    rows = json.loads(said.stdout)
    assert sum(1 for row in rows if row["set"]) > 60


def test_only_the_addresses_of_the_files_are_let_through():
    settings = EdgeSettings(forward=[Forward(to="mqtts://10.1.0.9", tags=["*"])])
    url = "modbus-tcp://10.0.0.5:502?unit=1"
    assert allowed_addresses(plant(url, "modbus-tcp://127.0.0.1:5020"), settings) == [
        "localhost",
        "10.0.0.5",
        "10.1.0.9",
    ]
    assert "IPAddressDeny=any\nIPAddressAllow=localhost\n" in unit(Plant(), EdgeSettings())
    with pytest.raises(BadRequestError, match=r"plc\.example is a name"):
        allowed_addresses(plant("opc.tcp://plc.example:4840"), settings)
    named = allowed_addresses(plant("opc.tcp://plc.example:4840"), EdgeSettings(), ["10.7.0.0/24"])
    assert named == ["localhost", "10.7.0.0/24"]
    with pytest.raises(BadRequestError, match="is everything"):
        allowed_addresses(Plant(), EdgeSettings(), ["0.0.0.0/0"])


# -- wireguard ----------------------------------------------------------------------------------

PEER = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="


def test_a_configuration_is_written_for_its_owner_alone_and_is_sound(tmp_path, capsys):
    file = tmp_path / "wg0.conf"
    given = ["--address", "10.9.0.2/32", "--peer-key", PEER, "--endpoint", "site.example:51820"]
    command = ["wireguard", "--to", str(file), *given, "--network", "10.9.0.0/24"]
    assert run(command) == 0
    told = capsys.readouterr().out
    assert "not applied" in told
    assert file.stat().st_mode & 0o777 == 0o600
    assert told.rstrip()[-44:] not in file.read_text()
    assert run(["wireguard", "--check", str(file)]) == 0
    assert run(command) == 1
    assert "already there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("AllowedIPs = 10.9.0.0/24", "AllowedIPs = 0.0.0.0/0", "more than a plant's network"),
        ("[Peer]", "PostUp = iptables -F\n[Peer]", "postup would run a command as root"),
        ("[Peer]", "DNS = 10.9.0.1\n[Peer]", "dns changes the box's name service"),
        (PEER, "short", "PublicKey is not 32 bytes in base64"),
        ("site.example:51820", "site.example", "is not HOST:PORT"),
        ("10.9.0.2/32", "10.9.0.299/32", "Address: '10.9.0.299/32'"),
        ("[Peer]", "[Peers]", "it needs one [Interface] and at least one [Peer]"),
        ("AllowedIPs = 10.9.0.0/24\n", "", "AllowedIPs is missing"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_said(tmp_path, capsys, before, after, told):
    file = tmp_path / "wg0.conf"
    given = ["--address", "10.9.0.2/32", "--peer-key", PEER, "--endpoint", "site.example:51820"]
    run(["wireguard", "--to", str(file), *given, "--network", "10.9.0.0/24"])
    file.write_text(file.read_text().replace(before, after))
    assert run(["wireguard", "--check", str(file)]) == 1
    assert told in capsys.readouterr().err


def test_a_configuration_others_can_read_is_said_so(tmp_path, capsys):
    file = tmp_path / "wg0.conf"
    file.write_text("[Interface]\n")
    file.chmod(0o644)
    assert run(["wireguard", "--check", str(file)]) == 1
    assert f"chmod 600 {file}" in capsys.readouterr().err
