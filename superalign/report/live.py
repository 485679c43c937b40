"""A run's page while the run goes on: served on loopback, made anew as the run gets further, with a bar on top.

It only reads. The run, in whatever process it plays, is neither locked nor written to.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse

from superalign.errors import RunFolderError
from superalign.report.html import labelled
from superalign.report.page import write_report
from superalign.review.access import HEADERS, Access
from superalign.review.app import guarded
from superalign.store.round_folder import CURRENT, HOLDER, MANIFEST, ROUNDS
from superalign.store.run_folder import RunFolder

HOST = "127.0.0.1"
FRESH_S = 60.0
"""Journals that grow bring a new page this often at most; less often where the page takes long to make."""


class LivePage:
    """A run as it stands now: the page, and where the run is."""

    def __init__(self, folder: RunFolder, scratch: Path) -> None:
        """scratch: a folder for the page; nothing is written into the run folder."""
        self.folder, self._path = folder, scratch / "report.html"
        self._made, self._every_s = "", FRESH_S
        self._lock = threading.Lock()
        self._offset, self._spent_s = 0, 0.0
        self._phase: dict[str, Any] = {}
        """The last `progress` of the phase in hand, and when it began; empty between two phases."""

    def page(self) -> Path:
        """The page's file, written anew if the run has got further; raises RunFolderError like `write_report`."""
        with self._lock:
            if (version := self._version()) != self._made:
                started = time.monotonic()
                write_report(self.folder, self._path, live=True)
                self._made, self._every_s = version, max(FRESH_S, 50 * (time.monotonic() - started))
        return self._path

    def status(self) -> dict[str, Any]:
        """What the bar shows: phase, units done of all, tokens a second, seconds gone by and left, page's version."""
        with self._lock:
            self._follow()
            phase, version = self._phase, self._version()
        rounds, sealed = self.folder.resolved.get("rounds"), self.folder.next_round
        now = phase.get("now", 0.0) if not self._is_played() else time.time()
        gone = max(0.0, now - phase.get("began", now))
        worked, tokens = (
            phase.get("now", 0.0) - phase.get("began", 0.0),
            phase.get("tokens", 0) - phase.get("tokens_0", 0),
        )
        units, total = phase.get("done", 0) - phase.get("done_0", 0), phase.get("units")
        rate = units / worked if units > 0 and worked > 1 else None
        return {
            "round": phase.get("round", sealed),
            "rounds": rounds,
            "phase": labelled("phases", phase.get("name", "")),
            "note": phase.get("note", ""),
            "done": phase.get("done", 0),
            "total": total,
            "tokens_per_s": round(tokens / worked, 1) if tokens > 0 and worked > 1 else None,
            "phase_s": round(gone, 1),
            "left_s": max(0.0, (total - phase["done"]) / rate - (now - phase["now"])) if rate and total else None,
            "elapsed_s": round(self._spent_s + gone, 1),
            "running": self._is_played(),
            "finished": isinstance(rounds, int) and sealed > rounds,
            "version": version,
        }  # fmt: skip

    def _follow(self) -> None:
        """Read the events that came since the last call."""
        if not self.folder.events.exists():
            return
        with self.folder.events.open("rb") as events:
            events.seek(self._offset)
            for line in events:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                with suppress(ValueError, KeyError, TypeError):
                    event = json.loads(line)
                    self._take(event["kind"], float(event["time"]), event["payload"])

    def _take(self, kind: str, at: float, payload: dict[str, Any]) -> None:
        if kind == "phase":
            self._spent_s, self._phase = self._spent_s + float(payload["seconds"]), {}
        elif kind in ("phase_start", "progress"):
            old = self._phase
            same = all(old.get(name) == payload[name] for name in ("round", "name")) and payload["done"] >= old["done"]
            tokens = payload.get("tokens", old.get("tokens", 0))
            first = old if same else {"began": at, "tokens_0": tokens, "done_0": payload["done"]}
            kept = {name: first[name] for name in ("began", "tokens_0", "done_0")}
            self._phase = {**payload, **kept, "tokens": tokens, "now": at}

    def _is_played(self) -> bool:
        """Whether the process that holds the run folder is alive, as far as this machine can tell."""
        try:
            holder = json.loads((self.folder.path / HOLDER).read_bytes())
            if holder["host"] == socket.gethostname():
                os.kill(int(holder["pid"]), 0)
        except PermissionError:
            return True
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return True

    def _version(self) -> str:
        """Changes when a step of a round ends, and now and then while journals grow."""
        root, steps, grown = self.folder.path, 0, 0.0
        files = [root / MANIFEST, root / CURRENT, *(root / ROUNDS).glob("*/*")]
        for path in files:
            with suppress(OSError):
                changed = path.stat().st_mtime
                if path.suffix == ".jsonl":
                    grown = max(grown, changed)
                else:
                    steps = hash((steps, path.name, changed))
        return f"{steps & 0xFFFFFFFF:08x}-{int(grown // self._every_s)}"


def make_app(live: LivePage, access: Access) -> FastAPI:
    """The page, and its status as JSON."""
    app = guarded(
        access, HEADERS | {"Content-Security-Policy": "frame-ancestors 'none'"}
    )  # the page has its own policy

    @app.exception_handler(RunFolderError)
    async def not_readable(_: Request, error: RunFolderError) -> Response:
        return PlainTextResponse(f"{error}\n", 503)

    @app.get("/")
    def page() -> Response:
        return FileResponse(live.page(), media_type="text/html")

    @app.get("/status")
    def status() -> dict[str, Any]:
        return live.status()

    return app


def serve(folder: RunFolder, port: int, announce: Callable[[str], None]) -> None:
    """Serve the page on 127.0.0.1 until Ctrl-C; announce: told its address. Raises RunFolderError for a taken port."""
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        raise RunFolderError(f"{HOST}:{port}: {error.strerror or error}", "name another --port") from error
    with listening, TemporaryDirectory(prefix="superalign-") as scratch:
        access = Access(HOST, int(listening.getsockname()[1]))
        announce(f"http://{HOST}:{access.port}/?token={access.token}")
        app = make_app(LivePage(folder, Path(scratch)), access)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=1
        )
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])
