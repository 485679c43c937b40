"""Who may talk to the page: one token for the browser that the person opens, and nothing from other sites.

The token of the printed address becomes a cookie that scripts cannot read and that other sites cannot send; every form
carries a second secret. A foreign Origin is refused whatever it carries, and so is a Host that is a name other than
those the server was asked to have, which is how a rebound domain would reach a loopback address.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

COOKIE = "superalign_review"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser sends `Origin: null` with its own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Access:
    """The secrets of one server, new at each start."""

    host: str
    """Where it listens, as the person named it."""
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def cookie(self) -> str:
        """Named by the port, since browsers share cookies between the ports of a host."""
        return f"{COOKIE}_{self.port}"

    def opens(self, token: str) -> bool:
        """Whether it is the token of the printed address."""
        return secrets.compare_digest(token.encode(), self.token.encode())

    def refuses(self, method: str, headers: Mapping[str, str], cookies: Mapping[str, str]) -> str | None:
        """Why a request gets no answer; None: it gets one. The form's own secret is not looked at here."""
        host = headers.get("host", "")
        if not self._is_mine(host):
            return "this address is not the server's own"
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return "it comes from another site"
        if origin is None and method not in ("GET", "HEAD"):
            return "it does not say where it comes from"
        if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site"):
            return "it comes from another site"
        if not self.opens(cookies.get(self.cookie, "")):
            return "it has no token; open the address that was printed"
        return None

    def refuses_form(self, form: Mapping[str, str]) -> str | None:
        """Why a form is not taken; None: it is one that this server made."""
        if secrets.compare_digest(form.get("csrf", "").encode("utf-8", "replace"), self.csrf.encode()):
            return None
        return "the form is not one of this server's; load the page again"

    def _is_mine(self, host: str) -> bool:
        """Ports are not compared: a tunnel has another one."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
        name = name.strip("[]").lower()
        if name in ("localhost", self.host.lower(), socket.gethostname().lower()):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
