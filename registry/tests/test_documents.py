"""What is generated from a skill, and how a registry looks at domains, over real sockets."""

import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dns.message
import dns.rrset
import pytest
import trustme
from factorylm_registry.command import main
from factorylm_registry.documents import documents_of
from factorylm_registry.lookups import WELL_KNOWN, Internet
from factorylm_registry.quality.environment import build_wheel
from factorylm_registry.refusals import ConflictError, NotProvenError, RefusedError
from factorylm_registry.scaffold import new_skill
from factorylm_registry.server_json import faults_of
from factorylm_registry.wheels import wheel_in

NPM = Path(__file__).parents[2] / ".cache" / "npm"


@pytest.fixture(scope="module")
def scaffolded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new")
    return new_skill("pumpcare", "com.example", folder)


def test_every_document_of_a_new_skill_is_valid(scaffolded, tmp_path):
    made = documents_of(wheel_in(build_wheel(scaffolded, tmp_path)))
    assert sorted(made) == ["agent-card.json", "manifest.json", "openclaw.json", "server.json"]
    assert faults_of(made["server.json"]) == []
    package = made["server.json"]["packages"][0]
    assert (made["server.json"]["name"], package["identifier"], package["version"]) == (
        "com.example/pumpcare",
        "factorylm-pumpcare",
        "0.1.0",
    )
    assert made["openclaw.json"]["mcp"]["servers"]["pumpcare"]["args"][0] == "factorylm-pumpcare==0.1.0"


def test_a_folder_may_be_named_without_a_path(scaffolded, said, monkeypatch, tmp_path):
    """To pip a bare name is a package of an index; to a person it is the folder in front of them."""
    monkeypatch.chdir(scaffolded.parent)
    code, text = said("document", scaffolded.name, "--write", tmp_path)
    assert code == 0, text
    assert (tmp_path / "server.json").is_file()


def test_the_official_tool_accepts_the_bundles_manifest(scaffolded, said, tmp_path):
    program = next(NPM.glob("*/node_modules/@anthropic-ai/mcpb/dist/cli/cli.js"), None)
    assert program, "the mcpb tool is not there; ./run test fetches it (npm/package.json)"
    node = next(program.parents[4].glob("node-*/bin/node*"))
    assert said("document", scaffolded, "--write", tmp_path)[0] == 0
    done = subprocess.run([node, program, "validate", tmp_path / "manifest.json"], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_agent_skills_validator_accepts_the_scaffolds_skill_md(scaffolded, tmp_path):
    folder = tmp_path / "factorylm-pumpcare"
    folder.mkdir()
    (folder / "SKILL.md").write_text((scaffolded / "src/factorylm_pumpcare/SKILL.md").read_text())
    program = "from skills_ref.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "validate", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "space"), [("Pump", "com.example"), ("p", "com.example"), ("pump", "example")])
def test_a_name_that_hosts_would_cut_or_nobody_owns_is_refused(name, space, tmp_path):
    with pytest.raises(RefusedError):
        new_skill(name, space, tmp_path)


def test_a_folder_that_is_there_is_left_alone(scaffolded):
    with pytest.raises(ConflictError, match="is there already"):
        new_skill("pumpcare", "com.example", scaffolded.parent)


def test_a_wrong_command_says_what_is_right_and_exits_as_promised(capsys, tmp_path):
    assert main(["check", str(tmp_path / "none")]) == 1
    assert "there is no" in capsys.readouterr().err
    assert main(["check", "--rule", "X1"]) == 1
    assert "The rules are B01" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["sell"])
    assert ended.value.code == 2
    with pytest.raises(SystemExit) as ended:
        main(["check", "--help"])
    assert (ended.value.code, "example: factorylm-registry check" in capsys.readouterr().out) == (0, True)


@pytest.fixture
def name_server():
    """Answers TXT questions on a loopback port, as a domain's own name server would."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))

        def answer():
            while True:
                try:
                    wire, client = listener.recvfrom(4096)
                except OSError:
                    return
                if wire == b"end":
                    return
                asked = dns.message.from_wire(wire)
                said = dns.message.make_response(asked)
                said.answer.append(dns.rrset.from_text(asked.question[0].name, 60, "IN", "TXT", '"v=MCPv1; " "k=x"'))
                listener.sendto(said.to_wire(), client)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"end", listener.getsockname())
        thread.join(5)


def test_txt_records_come_from_the_name_server(name_server):
    assert Internet(name_servers=(name_server,)).texts("example.com", "dns") == ["v=MCPv1; k=x"]


class WellKnown(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == WELL_KNOWN else 302)
        self.send_header("Location", WELL_KNOWN)
        self.end_headers()
        self.wfile.write(b"v=MCPv1; k=ed25519; p=AAAA\n")

    def log_message(self, *_: object):
        pass


def test_the_well_known_file_is_read_over_verified_tls_and_not_from_inside():
    authority = trustme.CA()
    server = ThreadingHTTPServer(("127.0.0.1", 0), WellKnown)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(own)
    server.socket = own.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    port = server.server_port
    try:
        inside = Internet(inside=True, https_port=port, tls=trusting)
        assert inside.texts("localhost", "http") == ["v=MCPv1; k=ed25519; p=AAAA"]
        with pytest.raises(NotProvenError, match="private network"):
            Internet(https_port=port, tls=trusting).texts("localhost", "http")
        with pytest.raises(NotProvenError, match="certificate verify failed"):
            Internet(inside=True, https_port=port).texts("localhost", "http")
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
