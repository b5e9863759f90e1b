"""The page on this machine alone, or on others' asking with a token."""

import os
import secrets
import signal
import socket
import tempfile
import webbrowser
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from functools import partial
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dlplug.api import TrainedRun
from dlplug.console import say
from dlplug.errors import InputError

LOOPBACK = "127.0.0.1"
PORT = 7860  # Gradio's own
BYTES = 20 * 2**20  # of what is sent; a phone's photographs are smaller
# Gradio writes its scripts into the page and evaluates some; what the page loads is this machine's all the same.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-ancestors 'none'; form-action 'self'; base-uri 'self'; object-src 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}

Scope = MutableMapping[str, Any]
Call = Callable[..., Awaitable[Any]]


def serve(runs: Sequence[TrainedRun], host: str, port: int | None, open_page: bool) -> None:
    """Serve the page of some runs until it is stopped.

    Args:
        runs: The runs.
        host: The address; other machines may reach it where it is not the loopback's, with a token.
        port: Its port; the first that is free from 7860 on if None.
        open_page: Whether to open it in the browser.

    Raises:
        InputError: The address cannot be used, or a run has nothing to play with.
    """
    token = "" if is_loopback(host) else secrets.token_urlsafe(24)
    with bind(host, port) as server, tempfile.TemporaryDirectory(prefix="dlplug-play-") as folder:
        # Stopped by kill too, what was sent is removed: uvicorn would end the process first.
        signal.signal(signal.SIGTERM, lambda number, _: exit(128 + number))
        settle(folder)
        import uvicorn

        from dlplug_play.page import build, mount

        bound = server.getsockname()[1]
        app = Guard(mount(build(runs), BYTES), host, bound, token)
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{bound}/" + (f"?token={token}" if token else "")
        say(f"play: {address}  (Ctrl-C ends it)")
        if open_page:
            webbrowser.open(address)
        config = uvicorn.Config(app, log_level="warning", proxy_headers=False, server_header=False, lifespan="on")
        uvicorn.Server(config).run(sockets=[server])


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def bind(host: str, port: int | None) -> socket.socket:
    """Return a socket that is bound to an address.

    Raises:
        InputError: It cannot be.
    """
    if port is not None and not 0 <= port < 2**16:
        raise InputError(f"--port is from 0 to 65535, not {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ports = [port] if port is not None else [*range(PORT, PORT + 20), 0]
    for number in ports:
        try:
            return socket.create_server((host, number), family=family)
        except OSError as error:
            if number == ports[-1] or isinstance(error, socket.gaierror):
                raise InputError(f"cannot serve at {host}:{number}: {error.strerror}") from error
    raise AssertionError


def settle(folder: str) -> None:
    """Settle what Gradio reads from the environment: nothing is shared, reported or served besides the page."""
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    tempfile.tempdir = folder  # of what is made on the way


class Guard:
    """Lets in requests of the page itself: of its host and origin, of a sane size, and with the token if there is one.

    A page of another site cannot ask through the browser of who sits here, nor by a name that it has made to lead here.

    Args:
        app: What is guarded.
        host: The address that is served at.
        port: Its port.
        token: What has to be known; nothing if empty.
    """

    def __init__(self, app: Call, host: str, port: int, token: str = "") -> None:
        self.app, self.token = app, token
        self.cookie = f"dlplug-play-{port}"  # which a browser gives to all ports of a host
        self.names = {host.lower(), "localhost", LOOPBACK, "::1", socket.gethostname().lower() if token else host}

    async def __call__(self, scope: Scope, receive: Call, send: Call) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":  # the page has no websockets
            await (self.app(scope, receive, send) if scope["type"] == "lifespan" else send({"type": "websocket.close"}))
            return
        # There is no proxy, so what one would say is somebody's invention.
        scope["headers"] = [(k, v) for k, v in scope["headers"] if not k.startswith((b"x-forwarded", b"x-gradio"))]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if refused := self.refusal(headers):
            await _send(send, *refused)
        elif self.token and secrets.compare_digest(given.encode(), self.token.encode()):
            cookie = f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
            await _send(send, 303, "", {"location": "/", "set-cookie": cookie})
        elif self.token and not self._knows(headers.get("cookie", "")):
            await _send(send, 403, "open the address that `dlplug play` printed: it holds a token")
        else:
            await self.app(scope, receive, partial(_send_with_headers, send))

    def refusal(self, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Return the status and reason with which a request is refused, if it is."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_ours(host):
            return 421, "that is not this page's address"
        if origin not in (None, f"http://{host}"):
            return 403, "that comes from another page"
        size = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not size.isdecimal() or int(size) > BYTES + 2**16:
            return 413, f"{BYTES >> 20} MB at most, and said before"
        return None

    def _is_ours(self, host: str) -> bool:
        with suppress(ValueError):
            name = urlsplit(f"//{host}").hostname or ""
            # Another site can have a name lead here, but no number.
            return name in self.names or (bool(self.token) and bool(ip_address(name)))
        return False

    def _knows(self, cookies: str) -> bool:
        with suppress(CookieError):
            if morsel := SimpleCookie(cookies).get(self.cookie):
                return secrets.compare_digest(morsel.value.encode(), self.token.encode())
        return False


async def _send(send: Call, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in {**HEADERS, **(headers or {})}.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": text.encode()})


async def _send_with_headers(send: Call, message: Scope) -> None:
    if message["type"] == "http.response.start":
        message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in HEADERS.items())]
    await send(message)
