"""The dashboard in a browser, through textual-serve, for whoever holds its address on this machine."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import shlex
import socket
import sys
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from textual_serve.server import Server

from fierce_tools.errors import UsageError

HOST = "127.0.0.1"
PORT = 8000
COOKIE = "fierce"
# Nothing is fetched from elsewhere, and no other page may frame this one.
POLICY = "default-src 'self' 'unsafe-inline' data: blob:; connect-src 'self' ws://{address}; frame-ancestors 'none'"


class Loopback(Server):
    """textual-serve on the loopback address, with a token: other people's accounts and other pages are kept out."""

    def __init__(self, root: Path, port: int) -> None:
        command = shlex.join([sys.executable, "-m", "fierce_tools", "tui", str(root.absolute())])
        super().__init__(command, host=HOST, port=port, title="fierce")
        self.address = f"{HOST}:{port}"
        self.token = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        """Where it is, the token with it."""
        return f"http://{self.address}/?token={self.token}"

    def initialize_logging(self) -> None:
        """Only what went wrong is said."""
        logging.basicConfig(level="WARNING", format="%(message)s")

    async def on_startup(self, app: web.Application) -> None:
        """Say where it is as soon as it is there."""
        self._saying = asyncio.create_task(self._say())

    async def _say(self) -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, self.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            break
        print(self.url, flush=True)
        print(
            f"the dashboard is served on this machine's loopback address only, to whoever has the address above; from "
            f"elsewhere first `ssh -L {self.port}:{self.address} THIS-MACHINE`; ctrl-c ends it",
            file=sys.stderr,
        )

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard)
        return app

    @property
    def _guard(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            given = request.query.get("token")
            problem = self.refused(request.host, request.headers.get("Origin"), given or request.cookies.get(COOKIE))
            if problem:
                return web.Response(status=403, text=problem)
            response = await handler(request)
            if not response.prepared:
                response.headers["Content-Security-Policy"] = POLICY.format(address=self.address)
                response.headers["Referrer-Policy"] = "no-referrer"
                if given is not None:
                    response.set_cookie(COOKIE, self.token, httponly=True, samesite="Strict")
            return response

        return guard

    def refused(self, host: str, origin: str | None, token: str | None) -> str:
        """Why a request is refused; empty for one that is not.

        Another host is a name somebody else let point here; another origin is another site's page.
        """
        if host != self.address:
            return f"this is http://{self.address} and nothing else"
        if origin is not None and origin != f"http://{self.address}":
            return "asked by another site's page"
        if token is None or not hmac.compare_digest(token.encode(), self.token.encode()):
            return "open the address that `fierce tui --serve` printed: it holds a token"
        return ""


def serve(root: Path, port: int = PORT) -> None:
    """Serve the dashboard of `root` until ctrl-c; port 0 takes a free one. Raises UsageError for a port in use."""
    Loopback(root, free(port)).serve()


def free(port: int) -> int:
    """The port, or a free one for 0. Raises UsageError where it cannot be had."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port is {port}, expected 0 to 65535", "for example --port 8001")
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError as error:
            raise UsageError(f"--port {port}: {error.strerror}", "take another one, or --port 0 for any") from None
        return int(trial.getsockname()[1])
