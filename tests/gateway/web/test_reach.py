"""A phone on the network: the page in clear hands it the root, and with that it trusts the gateway, and nobody else."""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from gateway.certificates import Request, general_names, load_certificate, load_key, new_key, pem_of, sign
from gateway.config import load_config
from gateway.web.reach import card
from picante import label
from picante.web_pki import make_issuer, make_root
from tests.chromium import chromium
from tests.gateway.web.axe import looked_at
from tests.gateway.web.browser import Overheard
from tests.gateway.web.conftest import Shop, open_shop
from tests.servers import free_port
from tests.waiting import wait_until

PHONE = {"width": 390, "height": 844}


@dataclass
class Reached:
    """A shop whose page is served to phones, and a phone for which all names are this machine."""

    shop: Shop
    plain: str
    secure: str
    phone: Browser
    """It trusts the root."""
    stranger: Browser
    """It does not."""
    root: x509.Certificate


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    directory = tmp_path_factory.mktemp("reach")
    make_root(directory / "pki", "Salsa Brava", 30)
    make_issuer(directory / "pki", "gw-1", 30)
    plain = free_port()
    http = (
        f'issuer = "pki/gateways/gw-1.pem"\nissuer_key = "pki/gateways/gw-1.key"\n'
        f'names = ["gw-1.local"]\nplain_port = {plain}\n'
    )
    home = directory / "home"
    database = f"sql:{home}/.pki/nssdb"
    (home / ".pki/nssdb").mkdir(parents=True)
    subprocess.run(["certutil", "-d", database, "-N", "--empty-password"], check=True)
    add = ["-A", "-n", "root", "-t", "C,,", "-i", str(directory / "pki/web-root.pem")]
    subprocess.run(["certutil", "-d", database, *add], check=True)
    with open_shop(directory, http=http) as shop, sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--host-resolver-rules=MAP * 127.0.0.1"]
        phone, stranger = (
            playwright.chromium.launch(executable_path=chromium(), args=arguments, env={"HOME": str(each)})
            for each in (home, directory)
        )
        yield Reached(
            shop,
            f"http://gw-1.local:{plain}/",
            f"https://gw-1.local:{shop.port}/",
            phone,
            stranger,
            load_certificate(directory / "pki/web-root.pem"),
        )
        phone.close()
        stranger.close()


@contextmanager
def visiting(browser: Browser, reached: Reached) -> Iterator[Page]:
    """A page on a phone, that must say nothing and ask nobody but the gateway's two ports."""
    with closing(browser.new_context(viewport=PHONE)) as context:  # type: ignore[arg-type]
        page = context.new_page()
        overheard = Overheard(None, urlsplit(reached.plain).netloc, urlsplit(reached.secure).netloc)
        overheard.listen(page)
        yield page
        overheard.judge()


def test_the_page_in_clear_hands_out_the_root(reached: Reached) -> None:
    with visiting(reached.stranger, reached) as page:
        page.goto(reached.plain)
        fingerprint = page.locator(".fingerprint").inner_text().replace(":", "")
        with page.expect_download() as downloaded:
            page.get_by_role("link", name="Get the certificate").click()
        der = Path(downloaded.value.path()).read_bytes()
        assert x509.load_der_x509_certificate(der) == reached.root
        assert reached.root.fingerprint(SHA256()).hex().upper() == fingerprint
        page.get_by_role("link", name="Deutsch").click()
        expect(page.locator("html")).to_have_attribute("lang", "de")
        assert looked_at(page, lambda language: page.goto(f"{reached.plain}?language={language}")) == {}


def test_in_clear_there_is_nothing_else(reached: Reached) -> None:
    local = reached.plain.replace("gw-1.local", "127.0.0.1")
    for path in ("api/v1/status", "dispensers", "metrics", "static/../api/v1/status"):
        answer = httpx.get(local + path)
        assert (answer.status_code, answer.headers["location"]) == (307, "/"), path
    assert httpx.post(local).status_code == 405
    with pytest.raises(httpx.HTTPError):  # the other port speaks no HTTP in clear
        httpx.get(reached.secure.replace("https://gw-1.local", "http://127.0.0.1"))


def test_whoever_knows_the_root_sees_no_warning(reached: Reached) -> None:
    with visiting(reached.phone, reached) as page:
        page.goto(reached.plain)
        page.get_by_role("link", name=reached.secure).click()
        page.wait_for_url(reached.secure + "**")
        assert page.evaluate("window.isSecureContext") is True


def test_what_a_label_says_is_shown_before_anybody_signs_in(reached: Reached) -> None:
    printed = card(load_config(reached.shop.directory / "gateway.toml"))
    with visiting(reached.phone, reached) as page:
        page.goto(label.said(printed, None))
        expect(page).to_have_url(f"{reached.secure}sign-in")
        shown = page.get_by_role("region", name="The label")
        expect(shown).to_contain_text("gw-1")
        colons = re.findall("..", reached.root.fingerprint(SHA256()).hex().upper())
        expect(shown.get_by_text(":".join(colons))).to_be_visible()


def test_whoever_does_not_is_warned(reached: Reached) -> None:
    with (
        visiting(reached.stranger, reached) as page,
        pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"),
    ):
        page.goto(reached.secure)


def test_a_bank_that_the_root_signed_for_is_refused(reached: Reached, tmp_path: Path) -> None:
    issuer = reached.shop.directory / "pki/gateways/gw-1.pem"
    certificate, issuer_key, key = load_certificate(issuer), load_key(issuer.with_suffix(".key")), new_key()
    hosts = {"bank.example": "ERR_CERT_INVALID", "gw-9.local": None}
    for host, refused in hosts.items():
        leaf = sign(certificate, issuer_key, Request(host, key, 10, general_names([host])))
        chain = tmp_path / f"{host}.pem"
        chain.write_bytes(leaf.public_bytes(Encoding.PEM) + issuer.read_bytes() + pem_of(key))
        with _served(chain) as port:
            context = reached.phone.new_context()
            page = context.new_page()
            if refused is None:  # the phone does trust this very issuer
                page.goto(f"https://{host}:{port}/")
                expect(page.locator("body")).to_have_text("here")
            else:
                with pytest.raises(Error, match=refused):
                    page.goto(f"https://{host}:{port}/")
            context.close()


def test_a_dispenser_shows_the_address(reached: Reached) -> None:
    shop = reached.shop
    told = shop.post("/api/v1/dispensers/hot-bar-1/commands", {"verb": "show_address"})
    assert told.status_code == 202, told.text
    wait_until(lambda: shop.ask("screen", dispenser="hot-bar-1")["address"] == reached.secure, 10, "it shows it")
    assert reached.secure in shop.ask("screen", dispenser="hot-bar-1")["text"]


class _served:  # noqa: N801 -- reads as a verb
    """A web server with a certificate, on a port of this machine."""

    def __init__(self, chain: Path) -> None:
        self._server = HTTPServer(("127.0.0.1", 0), _Here)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> int:
        self._thread.start()
        return int(self._server.server_address[1])

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Here(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
