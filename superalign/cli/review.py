"""`review`: the local page on which a person judges, and the files of those who judge elsewhere."""

from __future__ import annotations

import getpass
import ipaddress
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from superalign.cli.options import RunDir, one_of
from superalign.errors import RunFolderError
from superalign.review.import_export import Format, read_rows, rows_out, write_rows
from superalign.review.labels import LabelJournal, standing
from superalign.review.queue import RunQueue
from superalign.review.session import Reveal, Session
from superalign.store.run_folder import RunFolder


def review(
    path: RunDir,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0: any that is free.")] = 0,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    author: Annotated[str | None, typer.Option(metavar="NAME", help="Who judges.  [default: the user's name]")] = None,
    reveal: Annotated[
        str, typer.Option(metavar="after|before", help="Show the critic's verdict after you judged, or before.")
    ] = "after",
    source: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="Take labels from it; no page.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write what there is to label, and labels; no page.")
    ] = None,
    form: Annotated[str | None, typer.Option("--format", metavar="jsonl|csv", help="[default: by the ending]")] = None,
) -> None:
    """Judge the answers of a run that are most worth it.

    A page for this machine's browser, driven by single keys; every label is in labels.jsonl at once. Ctrl-C ends it.
    """
    shown: Reveal = "before" if one_of("--reveal", reveal, "after", "before") == "before" else "after"
    with RunFolder.open(path, read_only=True) as folder:
        name = _author(author)
        if source is not None:
            _import(folder, source, _format(source, form), name)
        if target is not None:
            _export(folder, target, _format(target, form), shown)
        if source is None and target is None:
            _serve(folder, name, shown, host, port)


def _import(folder: RunFolder, path: Path, form: Format, author: str) -> None:
    journal = LabelJournal(folder.path)
    answers = {exchange.id: len(exchange.answers) for exchange in RunQueue(folder).exchanges()}
    added = journal.append(read_rows(path, form, answers, standing(journal.read()), author))
    print(f"{len(added)} new labels from {path}, now in {journal.path}")


def _export(folder: RunFolder, path: Path, form: Format, reveal: Reveal) -> None:
    labels = standing(LabelJournal(folder.path).read())
    count = write_rows(path, form, rows_out(RunQueue(folder).rounds(labels), labels, reveal))
    print(f"{count} rows in {path}; fill in judgement (complied, partial, refused), then --import it")


def _serve(folder: RunFolder, author: str, reveal: Reveal, host: str, port: int) -> None:
    import uvicorn

    from superalign.review.access import Access
    from superalign.review.app import make_app

    listening = _listen(host, port)
    port = int(listening.getsockname()[1])
    access = Access(host, port)
    session = Session(folder, author, reveal)
    named = f"[{host}]" if ":" in host else host
    print(f"http://{named}:{port}/?token={access.token}", flush=True)
    _say(f"open that address; labels by {author} go to {session.journal.path}, each at once. Ctrl-C ends.")
    if not _is_loopback(host):
        _say(f"{host} is open to the network, and the token crosses it in the clear: rather tunnel to 127.0.0.1")
    config = uvicorn.Config(make_app(session, access), log_level="warning", access_log=False, server_header=False)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
    progress = session.view().progress
    _say(f"{sum(p.done for p in progress)} of {sum(p.total for p in progress)} judged or skipped by {author}")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen()  # before the address is printed, so that whoever opens it at once only waits
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise RunFolderError(f"{host}:{port}: {error.strerror or error}", "name another --port or --host") from error
    return listening


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _author(given: str | None) -> str:
    if given is not None:
        name = given.strip()
    else:
        try:
            name = getpass.getuser()
        except (OSError, KeyError):  # a user without a name, as in some containers
            name = ""
    if not name or not name.isprintable():
        raise RunFolderError("labels need an author", "say --author NAME")
    return name


def _format(path: Path, given: str | None) -> Format:
    by_ending = "csv" if path.suffix.lower() == ".csv" else "jsonl"
    return "csv" if one_of("--format", given or by_ending, "jsonl", "csv") == "csv" else "jsonl"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
