"""The running router: configuration that may change, state, providers, and a clean end."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from factorylm_router.admin import Admin
from factorylm_router.attempt import Desk
from factorylm_router.checks import Known
from factorylm_router.chooser import Chooser
from factorylm_router.config import Config, load_config
from factorylm_router.errors import ConfigError, StateAwayError
from factorylm_router.gateway import Gateway
from factorylm_router.journal import Journal
from factorylm_router.learning import drift_factor
from factorylm_router.meters import Meters
from factorylm_router.places import Places
from factorylm_router.scorer import guess
from factorylm_router.server import Front, drained
from factorylm_router.state import State, open_state
from factorylm_router.telemetry import SpanSender
from factorylm_router.trial import in_use, on_trial, standing
from factorylm_router.upstream import Providers

log = logging.getLogger("factorylm.router")
RELOAD_POLL_S = 1.0
QUALITY_POLL_S = 60.0
SPARE_FILES = 200


class Service:
    """One router process. Enter it to serve; leaving drains it."""

    def __init__(self, path: Path, config: Config | None = None) -> None:
        self.path = path
        self._seen = _stamp(path)  # before it is read: an edit meanwhile is an edit
        self.config = config or load_config(path)
        places = Places.of(self.config.server, path)
        self.state: State = open_state(places.state, places.spool)
        self.journal = Journal(places.journal)
        self.reload_trouble = ""
        self.meters = Meters()
        self.port = 0
        self._old: dict[asyncio.Task[None], Providers] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Service"]:
        self.providers = Providers(self.config)  # first: what refuses to start leaves nothing behind
        self.journal.claim()
        await self.state.open()
        await self._book_unfinished()
        self.gateway = Gateway(Desk(self.config, self.providers, self.journal), self.state)
        self.chooser = Chooser(self.gateway, in_use(self.config.routing), self._known())
        self.chooser.trial = on_trial(self.config.routing)
        self.gateway.choosers = {"cascade": self.chooser.cascade, "session": self.chooser.session}
        self.gateway.watchers.append(self.meters.see)
        self.front = Front(self.gateway, guess, most_at_once())
        self.spans = SpanSender(self.config.server.otlp_url) if self.config.server.otlp_url else None
        if self.spans:
            self.gateway.watchers.append(self.spans.see)
            await self.spans.start()
        runner = web.AppRunner(self._app(), access_log=None, handler_cancellation=True, keepalive_timeout=75)
        await runner.setup()
        try:
            await self._listen(runner)
            watching = asyncio.gather(self._watch_config(), self._watch_quality())
            try:
                yield self
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                self.front.draining = True
                await drained(self.gateway, self.config.server.drain_s)
        finally:
            await runner.cleanup()
            await self.chooser.settled()
            await self.gateway.settled()
            if self.spans:
                await self.spans.stop()
            for old in [self.providers, *self._old.values()]:
                await old.close()
            self.journal.close()
            await self.state.close()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=int(self.config.server.max_body_mb * 1_000_000))
        app.add_routes(self.front.routes())
        app.add_routes(Admin(self.gateway, self.meters, lambda: self.reload_trouble).routes())
        return app

    async def _listen(self, runner: web.AppRunner) -> None:
        site = web.TCPSite(runner, self.config.server.host, self.config.server.port, backlog=4096)
        try:
            await site.start()
        except OSError as error:
            where = f"{self.config.server.host}:{self.config.server.port}"
            raise ConfigError(
                f"cannot listen on {where}: {error.strerror}", hint="choose another server.port"
            ) from error
        self.port = runner.addresses[0][1]

    async def _book_unfinished(self) -> None:
        """Attempts of a run that was killed are booked with their estimate; a provider's statement settles
        them."""
        rows = self.journal.unfinished()
        if rows:
            log.warning("%d attempts of the last run had not been booked when it ended", len(rows))
        for row in rows:
            await self.state.settle(row.key, row.request_id, [row])
        await self.state.rows(limit=1)  # on disk before the journal forgets
        self.journal.start()

    def _known(self) -> Known:
        plant = self.config.plant
        return Known(tags=frozenset(plant.tags), limits=plant.limits, units=plant.units)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._old.pop(task, None)

    async def _watch_config(self) -> None:
        while True:
            await asyncio.sleep(RELOAD_POLL_S)
            if _stamp(self.path) != self._seen:
                self.reload()

    async def _watch_quality(self) -> None:
        """Shadows that disagree more than the verifier promised make premium asked sooner."""
        while True:
            with suppress(StateAwayError):  # told by the state itself
                await self.judge_drift()
                await self.judge_trial()
            await asyncio.sleep(QUALITY_POLL_S)

    async def judge_drift(self) -> float:
        caution = drift_factor(await self.state.samples(200))
        if caution != self.chooser.caution:
            log.warning("quality drifts: premium is asked at %.2f of the usual gain", caution)
        self.chooser.caution = caution
        return caution

    async def judge_trial(self) -> str:
        """A challenger that has won takes over, one that has lost gets no more requests."""
        trial = self.chooser.trial
        if trial is None:
            return "no trial"
        decided = standing(await self.state.samples(), trial.name).decided
        if decided == "undecided":
            return decided
        log.warning("the verifier on trial is %s than the one in use: the trial is over", decided)
        if decided == "better":
            self.chooser.verifier = trial.challenger
        self.chooser.trial = None
        return decided

    def reload(self) -> bool:
        """Take over the changed file; a file that makes no sense changes nothing and is told why."""
        self._seen = _stamp(self.path)
        try:
            config = load_config(self.path)
            desk = Desk(config, Providers(config), self.journal)
            verifier, trial = in_use(config.routing), on_trial(config.routing)
        except ConfigError as error:
            self.reload_trouble = str(error)
            log.error(  # noqa: TRY400 -- the message says it all
                "configuration not taken over, the old one stays: %s", error
            )
            return False
        self.reload_trouble = ""
        if _fixed(config) != _fixed(self.config):
            log.warning("server.host, port, data and state stay as they are until the router starts again")
        old, self.providers = self.providers, desk.providers
        self.config, self.gateway.desk = config, desk
        self.chooser.verifier, self.chooser.known, self.chooser.trial = verifier, self._known(), trial
        task = asyncio.create_task(_closed_when_idle(old))
        self._old[task] = old
        task.add_done_callback(self._forget)
        log.info("configuration taken over")
        return True


def _fixed(config: Config) -> tuple[object, ...]:
    """What a running router cannot change: where it listens and keeps its books."""
    server = config.server
    return (server.host, server.port, server.data, server.state)


async def _closed_when_idle(providers: Providers) -> None:
    """Requests that began under the old configuration end under it."""
    await providers.idle()
    await providers.close()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def most_at_once() -> int:
    """How many requests this process has files for: two connections each, and some for everything else.

    Beyond it a client is told to wait; without files even that could not be said."""
    try:
        import resource
    except ImportError:
        return 1 << 30
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return 1 << 30 if soft == resource.RLIM_INFINITY else max(1, (soft - SPARE_FILES) // 2)


async def serve(path: Path, announce: Any = print) -> None:
    """Serve until the process is told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    service = Service(path)
    if sys.platform != "win32":  # there asyncio heeds no signals: Ctrl-C ends the loop, and the file's change reloads
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    async with service.running():
        if sys.platform != "win32":
            loop.add_signal_handler(signal.SIGHUP, service.reload)
        announce(f"factorylm-router serves http://{service.config.server.host}:{service.port}/v1")
        gc.collect()
        gc.set_threshold(20_000, 20, 50)
        gc.freeze()  # what lives from the start on is not searched again: bursts of collection were the p99
        await stop.wait()


async def serve_simulated(port: int, announce: Any = print) -> None:
    """Serve in front of scripted models: everything is real but the models."""
    from tempfile import TemporaryDirectory

    from factorylm_router.reports import config_for_simulation
    from factorylm_router.simulated import calculating, simulation

    with TemporaryDirectory(prefix="factorylm-router-") as folder:
        async with simulation(calculating) as (outside, site):
            path = Path(folder) / "router.toml"
            path.write_text(config_for_simulation(outside, site, port, Path(folder)), "utf-8")
            announce(f"scripted models on {outside} and {site}; configuration in {path}")
            await serve(path, announce)
