"""A real llama.cpp server with a tiny random model, for `./run test --with-llama`; built once into .cache/llama."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from workspace.environment import PYTHON, SetupError, say
from workspace.members import ROOT
from workspace.ports import START_TIMEOUT_S, answers, free_port
from workspace.tiny_model import write_tiny_model

NAMED = "FACTORYLM_LLAMA_SERVER"
# This source package carries llama.cpp's own source, and every package index has it.
SOURCE, VERSION = "llama_cpp_python", "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
CACHE = ROOT / ".cache" / "llama" / VERSION
SERVER = CACHE / "build" / "bin" / "llama-server"
# Unoptimised code is quick enough for a tiny model and compiles in a third of the time.
OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS_DEBUG=-O0", "-DCMAKE_CXX_FLAGS_DEBUG=-O0", "-DGGML_NATIVE=OFF",
    "-DGGML_OPENMP=OFF", "-DGGML_CCACHE=OFF", "-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF",
)  # fmt: skip


@contextmanager
def running_llama() -> Iterator[dict[str, str]]:
    """The environment that tells the tests where it serves; a server the user names is used as it is."""
    if NAMED in os.environ:
        yield {}
        return
    program = shutil.which("llama-server") or _built()
    with tempfile.TemporaryDirectory(prefix="factorylm-llama-") as folder:
        port, model = free_port(), Path(folder, "tiny.gguf")
        write_tiny_model(model)
        command = [program, "--model", model, "--alias", "tiny-local", "--host", "127.0.0.1", "--port", port]
        command += ["--ctx-size", 2048, "--threads", 1, "--parallel", 1]
        with Path(folder, "log").open("w+b") as log:
            process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, cwd=folder)
            try:
                if not answers(port, process):
                    log.seek(0)
                    raise SetupError(f"{program} does not start:\n{log.read().decode(errors='replace')[-2000:]}")
                yield {NAMED: f"http://127.0.0.1:{port}"}
            finally:
                process.terminate()
                process.wait(timeout=START_TIMEOUT_S)


def _built() -> Path:
    if SERVER.is_file():
        return SERVER
    for tool in ("cmake", "c++"):
        if not shutil.which(tool):
            raise SetupError(f"building llama.cpp needs {tool}; on Debian: apt-get install cmake g++")
    CACHE.mkdir(parents=True, exist_ok=True)
    source = _source()
    say("building llama.cpp's server (once; six minutes of CPU)")
    _done(["cmake", "-S", source / "vendor" / "llama.cpp", "-B", CACHE / "build", *OPTIONS])
    _done(["cmake", "--build", CACHE / "build", "--target", "llama-server", "--parallel", str(os.cpu_count() or 1)])
    return SERVER


def _source() -> Path:
    """The unpacked source; pip knows the user's index."""
    unpacked = CACHE / f"{SOURCE}-{VERSION}"
    archive = CACHE / f"{unpacked.name}.tar.gz"
    if not archive.is_file():
        say("fetching llama.cpp's source (75 MB, once)")
        plainly = ("--quiet", "--no-deps", "--no-binary", SOURCE, "--dest", CACHE)
        _done([PYTHON, "-m", "pip", "download", *plainly, f"{SOURCE}=={VERSION}"])
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
        archive.unlink()
        raise SetupError(f"{archive.name} is not the file that workspace/llama.py names")
    if not unpacked.is_dir():
        with tarfile.open(archive) as files:
            files.extractall(CACHE, filter="data")
    return unpacked


def _done(command: Sequence[str | Path]) -> None:
    finished = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if finished.returncode:
        raise SetupError(f"{' '.join(map(str, command[:2]))} failed:\n{(finished.stdout + finished.stderr)[-3000:]}")
