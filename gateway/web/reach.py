"""The one page in clear, on port 80 or 8081: the root's certificate, its fingerprint, and the way to the real page.

Nothing is asked and nothing is told here but what hangs on the wall anyway. Whoever is in the network may change this
page under way: so phones show the fingerprint of what they install, and the label beside the gateway has it too.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.config import Config
from gateway.web.guard import keep_to_itself
from gateway.web.language import LANGUAGES, language, preferred
from gateway.web.leaf import Leaf, addresses, fingerprint, names_wanted
from gateway.web.shell import environment
from gateway.web.statics import statics
from heat.errors import ConfigError

PLAIN_PORTS = (80, 8081)
"""Where this page is tried, in this order."""
CERTIFICATE = "application/x-x509-ca-cert"
"""The type at which Android and iOS offer to install it."""


def make_reach(config: Config, leaf: Leaf) -> ASGIApp:
    """The application that serves the one page."""

    async def page(request: Request) -> HTMLResponse:
        told = language(preferred(request.query_params.get("language"), request.headers.get("accept-language", "")))
        return HTMLResponse(
            environment.get_template("reach/page.html").render(
                _=told.gettext,
                lang=told,
                languages=LANGUAGES,
                gateway=config.gateway,
                fingerprint=leaf.fingerprint,
                until=leaf.root.not_valid_after_utc,
                addresses=addresses(config.http.port, leaf.names),
            )
        )

    async def root(_request: Request) -> Response:
        name = {"content-disposition": 'attachment; filename="picante-root.crt"'}
        return Response(leaf.root.public_bytes(Encoding.DER), media_type=CERTIFICATE, headers=name)

    async def elsewhere(_request: Request) -> RedirectResponse:
        return RedirectResponse("/")

    routes = [
        Route("/", page),
        Route("/picante-root.crt", root),
        Mount("/static", statics),
        Route("/{path:path}", elsewhere),
    ]
    return _Headers(Starlette(routes=routes))


@dataclass(frozen=True, slots=True)
class Card:
    """What stands on a gateway's label."""

    gateway: str
    store: str
    addresses: list[str]
    """Of the page, the best first."""
    plain: list[str]
    """Of the one page in clear."""
    fingerprint: str
    """Of the root."""


def card(config: Config) -> Card:
    """What stands on this gateway's label. Raises ConfigError."""
    http = config.http
    if http.issuer is None:
        hint = (
            "Set http.issuer to what picante gateway web-pki issue made; without it the page is on this machine alone"
        )
        raise ConfigError("the page is not served to phones", hint=hint)
    root, hosts = Leaf(config).root, names_wanted(config)
    ports = PLAIN_PORTS if http.plain_port is None else (http.plain_port,) if http.plain_port else ()
    plain = [address for port in ports for address in addresses(port, hosts, "http")[:1]]
    return Card(config.gateway.id, config.gateway.store, addresses(http.port, hosts), plain, fingerprint(root))


class _Headers:
    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                keep_to_itself(message)
                del MutableHeaders(scope=message)["cross-origin-opener-policy"]  # in clear it is an error on consoles
            await send(message)

        if scope["type"] == "http":
            await self._application(scope, receive, send_guarded)
