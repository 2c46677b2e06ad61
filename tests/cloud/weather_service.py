"""A local service of OpenWeatherMap's shape, told what to answer."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

NOW_MS = 1_795_700_000_000
DRIZZLE = {
    "coord": {"lon": 4.84, "lat": 45.76},
    "weather": [{"id": 300, "main": "Drizzle", "description": "light drizzle", "icon": "09d"}],
    "base": "stations",
    "main": {"temp": 9.25, "feels_like": 8.254, "temp_min": 8, "temp_max": 10, "pressure": 1007, "humidity": 87},
    "wind": {"speed": 8.7, "deg": 290},
    "dt": NOW_MS // 1000 - 300,
    "timezone": 3600,
    "name": "Lyon",
    "cod": 200,
}


@dataclass(frozen=True)
class Answer:
    """What is answered, and how."""

    body: bytes = json.dumps(DRIZZLE).encode()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drip_s: float = 0.0
    """s between two bytes."""


@dataclass
class Service:
    """The service, and who asked it what."""

    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    answer: Callable[[dict[str, str]], Answer] = field(default=lambda _asked: Answer())

    def spots(self) -> list[str]:
        """Where it was asked for, in order."""
        return [f"{query['lat']},{query['lon']}" for query in self.asked]


@contextlib.contextmanager
def weather_service() -> Iterator[Service]:
    """A service on a free loopback port."""
    service = Service()
    over = threading.Event()

    class Asked(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            service.asked.append(query)
            answer = service.answer(query)
            with contextlib.suppress(OSError):  # who does not wait for the end
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                if not answer.drip_s:
                    self.wfile.write(answer.body)
                for byte in answer.body if answer.drip_s else b"":
                    if over.is_set():
                        return
                    self.wfile.write(bytes([byte]))
                    time.sleep(answer.drip_s)

        def log_message(self, *_arguments: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Asked) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        service.url = f"http://127.0.0.1:{server.server_address[1]}/data/2.5/weather"
        try:
            yield service
        finally:
            over.set()
            server.shutdown()
            thread.join()
