"""The dashboard in a real browser, and who is kept out."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from waiting import LIMIT, wait_until

from fierce_tools.errors import UsageError
from fierce_tools.tui.serve import HOST, Loopback, free

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)


def test_a_port_in_use_is_said() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with pytest.raises(UsageError, match=r"--port \d+: Address already in use; take another one"):
            free(taken.getsockname()[1])
    with pytest.raises(UsageError, match="expected 0 to 65535"):
        free(70000)
    assert free(0) > 1023


def test_who_is_kept_out() -> None:
    server = Loopback(Path("runs"), 8123)
    assert server.host == HOST == "127.0.0.1"
    own = "127.0.0.1:8123"
    assert server.refused(own, None, server.token) == ""
    assert server.refused(own, f"http://{own}", server.token) == ""
    assert "nothing else" in server.refused("evil.example:8123", None, server.token)
    assert "another site" in server.refused(own, "http://evil.example", server.token)
    assert "another site" in server.refused(own, "http://localhost:8123", server.token)
    assert "token" in server.refused(own, None, None)
    assert "token" in server.refused(own, None, "guessed")
    assert server.url == f"http://{own}/?token={server.token}"
    assert Loopback(Path("runs"), 8123).token != server.token


def answers(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex((HOST, port)) == 0


@contextlib.contextmanager
def served(root: Path) -> Iterator[str]:
    """The address of a dashboard that is served by the real command."""
    command = [sys.executable, "-m", "fierce_tools", "tui", str(root), "--serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        port = int(url.partition("//")[2].partition("/")[0].partition(":")[2])
        wait_until(lambda: answers(port))  # it is said just before it listens
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    assert "loopback address only" in err
    assert "ssh -L" in err


def test_only_with_the_token_and_only_on_the_loopback_address(digits_run: Path) -> None:
    async def main(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            bare = url.partition("?")[0]
            async with session.get(bare) as answer:
                assert answer.status == 403
                assert "it holds a token" in await answer.text()
            async with session.get(bare + "ws") as answer:
                assert answer.status == 403
            async with session.get(url, headers={"Host": "evil.example"}) as answer:
                assert answer.status == 403
            async with session.get(url) as answer:
                assert answer.status == 200
                assert answer.cookies["fierce"]["samesite"] == "Strict"
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
                cookie = answer.cookies["fierce"].value
            headers = {"Origin": "http://evil.example", "Cookie": f"fierce={cookie}"}
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(bare + "ws", headers=headers)

    with served(digits_run.parent) as url:
        assert url.startswith("http://127.0.0.1:")
        port = int(url.partition("//")[2].partition("/")[0].partition(":")[2])
        for info in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET, socket.SOCK_STREAM):
            if not info[4][0].startswith("127."):
                with socket.socket() as other:
                    other.settimeout(2)
                    assert other.connect_ex(info[4]) != 0, "reached from outside"
        asyncio.run(main(url))


class Page:
    """A page of a headless browser, by the DevTools protocol."""

    def __init__(self, socket_: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number = socket_, 0

    async def call(self, method: str, **values: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": values})
        while True:
            answer = json.loads((await self._socket.receive(timeout=LIMIT)).data)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]  # type: ignore[no-any-return]

    async def value(self, expression: str) -> Any:
        return (await self.call("Runtime.evaluate", expression=expression, returnByValue=True))["result"].get("value")


# What the server sends is what is drawn; the canvas itself holds only pixels.
LISTEN = """
window.heard = '';
const Real = window.WebSocket;
window.WebSocket = class extends Real {
  constructor(...a) {
    super(...a);
    this.addEventListener('message', async m => {
      const data = m.data instanceof Blob ? await m.data.arrayBuffer() : m.data;
      window.heard += typeof data === 'string' ? data : new TextDecoder().decode(data);
    });
  }
};
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_dashboard_in_a_headless_browser(digits_run: Path, tmp_path: Path) -> None:
    async def main(url: str) -> None:
        assert CHROMIUM is not None
        browser = await asyncio.create_subprocess_exec(
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--remote-debugging-port=0", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,800", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert browser.stderr is not None
            async with asyncio.timeout(LIMIT):
                while b"DevTools listening" not in (line := await browser.stderr.readline()):
                    assert line, "the browser ended"
            devtools = line.decode().split()[-1].partition("//")[2].partition("/")[0]
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://{devtools}/json/list") as answer:
                    target = next(t for t in await answer.json() if t["type"] == "page")
                async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as connection:
                    await look(Page(connection), url)
        finally:
            browser.terminate()
            await browser.wait()

    async def look(page: Page, url: str) -> None:
        await page.call("Page.enable")
        await page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
        await page.call("Page.navigate", url=url)

        async def drawn(word: str) -> None:
            # In the page itself, once for each message, so that nothing is asked again and again.
            found = f"new Promise(done => setInterval(() => window.heard.includes({word!r}) && done(true), 50))"
            async with asyncio.timeout(LIMIT):
                await page.call("Runtime.evaluate", expression=found, awaitPromise=True)

        await drawn("demo")
        await drawn("Entropy")
        await page.value("window.heard = ''")
        await page.value("document.querySelector('.xterm-helper-textarea').focus()")
        key = {"key": "8", "code": "Digit8", "windowsVirtualKeyCode": 56}
        await page.call("Input.dispatchKeyEvent", type="keyDown", text="8", **key)
        await page.call("Input.dispatchKeyEvent", type="keyUp", **key)
        await drawn("no job yet")
        picture = base64.b64decode((await page.call("Page.captureScreenshot"))["data"])
        (tmp_path / "page.png").write_bytes(picture)
        from PIL import Image

        with Image.open(tmp_path / "page.png") as image:
            assert len(image.convert("RGB").getcolors(1_000_000) or []) > 20, "something is to be seen"

    with served(digits_run.parent) as url:
        asyncio.run(main(url))
