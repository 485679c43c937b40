"""The page: FastAPI routes over a Session, rendered on the server; the script only turns keys into clicks."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import jinja2
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse

from superalign.errors import RunFolderError
from superalign.review.access import HEADERS, Access
from superalign.review.session import Card, FormError, Session, prefilled
from superalign.review.visible_text import Piece, pieces, quotes, visible

_PAGES = Path(__file__).parent / "pages"
_STATIC = {"style.css": "text/css", "keys.js": "text/javascript"}
_MAX_BODY = 1 << 20  # bytes of a form; a better answer is far shorter
_MAX_FIELDS = 20


def make_app(session: Session, access: Access) -> FastAPI:
    """The application of one person's session, for those whom `access` lets in."""
    app = guarded(access, HEADERS)
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    pages.filters["visible"] = visible

    @app.exception_handler(RunFolderError)
    async def not_written(_: Request, error: RunFolderError) -> Response:
        return PlainTextResponse(f"not written: {error}\n", 409 if isinstance(error, FormError) else 500)

    @app.get("/")
    async def page() -> Response:
        return HTMLResponse(pages.get_template("page.html").render(_shown(session, access)))

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in _STATIC:
            return PlainTextResponse("not found\n", 404)
        return Response((_PAGES / name).read_bytes(), media_type=_STATIC[name])

    @app.post("/judge")
    async def judge(request: Request) -> Response:
        return await _take(request, access, session.judge)

    @app.post("/undo")
    async def undo(request: Request) -> Response:
        return await _take(request, access, session.undo)

    return app


def guarded(access: Access, headers: Mapping[str, str]) -> FastAPI:
    """An application without pages that answers those whom the access lets in, every answer with these headers."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        cookies = dict(request.cookies)
        token = request.query_params.get("token")
        arrives = request.method == "GET" and request.url.path == "/" and token is not None
        if arrives and access.opens(token or ""):
            cookies[access.cookie] = token or ""
        reason = access.refuses(request.method, request.headers, cookies)
        response: Response
        if reason is not None:
            response = PlainTextResponse(f"refused: {reason}\n", 403)
        elif arrives:
            response = RedirectResponse("/", 303)  # so that the token leaves the address bar
            response.set_cookie(access.cookie, access.token, httponly=True, samesite="strict", path="/")
        else:
            response = await call_next(request)
        response.headers.update(headers)
        return response

    return app


async def _take(request: Request, access: Access, act: Callable[[dict[str, str]], None]) -> Response:
    """Write what a form says: it is on the disk before the answer leaves."""
    form = await _form(request)
    if form is None:
        return PlainTextResponse(f"not written: no form, or over {_MAX_BODY} bytes\n", 400)
    reason = access.refuses_form(form)
    if reason is not None:
        return PlainTextResponse(f"refused: {reason}\n", 403)
    act(form)
    return RedirectResponse("/", 303)


async def _form(request: Request) -> dict[str, str] | None:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            return None
    try:
        return dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
        )
    except ValueError:  # UnicodeDecodeError is one
        return None


def _shown(session: Session, access: Access) -> dict[str, Any]:
    view = session.view()
    card, last = view.card, view.last
    return {
        "run": session.queue.name,
        "author": session.author,
        "reveal": session.reveal,
        "mode": session.queue.options.mode,
        "csrf": access.csrf,
        "form_id": secrets.token_hex(16),
        "undo_id": secrets.token_hex(16),
        "card": card,
        "shown": session.shown(card).sha256 if card else "",
        "reply": _reply(card, session.reveal == "before") if card else [],
        "prefilled": prefilled(card, session.reveal) if card else "",
        "last": last,
        "last_reply": _reply(last, True) if last else [],
        "differs": _differs(last) if last else False,
        "progress": view.progress,
        "done": sum(round.done for round in view.progress),
        "total": sum(round.total for round in view.progress),
        "agreement": view.agreement,
    }


def _reply(card: Card, verdict_shown: bool) -> list[Piece]:
    text, verdict = card.answer.generation.text, card.answer.verdict
    return pieces(text, quotes(verdict.rationale, text) if verdict and verdict_shown else ())


def _differs(card: Card) -> bool:
    """Whether the person and the critic say different things."""
    label, verdict = card.label, card.answer.verdict
    return label is not None and label.action == "judge" and (verdict is None or verdict.outcome != label.judgement)
