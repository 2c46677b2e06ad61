"""A Kafka that lets nobody in without a login or a certificate, and that grants rights: a listener for each case.

    with SecureKafka(directory) as kafka:
        kafka.at("LOGIN")  # HOST:PORT
        kafka.authority.certificate  # whom a client has to trust
        kafka.client  # a certificate that MUTUAL takes, with its key

Each part of deploy/kafka/acls has a login of its name, which may do what the file says, and nothing else:

    kafka.cloud_toml(directory, "pipeline")  # a configuration with which it logs in

What it takes in clear on `bootstrap`, as every KafkaServer does, is for the test's own reading. All calls block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloud.kafka_admin import Admin
from cloud.librdkafka import Cluster
from cloud.rights import Table, parse, rights_of
from cloud.topic_plan import differences
from cloud_sync.topics import ALL, GATEWAYS
from tests.certificates import Authority
from tests.servers import HERE, KafkaServer, free_port

USER = "gw-secure"
"""May do what a gateway may, as `CLIENT` may: `let` says which gateway."""
LIMITED = "gw-limited"
"""May do what it is granted."""
GATEWAY = "gw-granted"
"""Has the rights of a gateway, as deploy/kafka/acls has them."""
PASSWORD = "correct horse battery"
CLIENT = "gw-mutual"

PROTOCOLS = {
    "LOGIN": "SASL_SSL",
    "MUTUAL": "SSL",
    "EXPIRED": "SASL_SSL",
    "ELSEWHERE": "SASL_SSL",
    "MOVED": "SASL_SSL",
}
"""LOGIN takes passwords, MUTUAL certificates. EXPIRED has a certificate that has expired, ELSEWHERE another host's.
MOVED advertises a name that is not in its certificate."""

ACLS = HERE.parent / "deploy" / "kafka" / "acls"

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


class SecureKafka(KafkaServer):
    """See the module."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._ports = {name: free_port() for name in PROTOCOLS}
        self.authority = Authority(directory / "certificates", "authority", days=90)
        self.client = self.authority.sign(CLIENT)
        good = self.authority.sign("broker")
        self._certificates = {
            "LOGIN": good,
            "MUTUAL": good,
            "MOVED": good,
            "EXPIRED": self.authority.sign("expired", expired=True),
            "ELSEWHERE": self.authority.sign("elsewhere", "DNS:kafka.elsewhere.example"),
        }

    def at(self, listener: str) -> str:
        """A listener's HOST:PORT."""
        return f"{self.host}:{self._ports[listener]}"

    def start(self) -> None:
        """See `LocalServer.start`; each part's login has its rights then, and the topics are there."""
        super().start()
        admin = Admin(Cluster(self.bootstrap))
        admin.mend(differences(ALL, admin.topics([topic.name for topic in ALL]), 1, admin.brokers()), 1)
        for part in acls():
            login = login_of(part)
            admin.grant(f"User:{login}", rights_of(acls(), [part], login))

    def let(self, gateway: str) -> None:
        """Give USER and CLIENT the rights of this gateway, too."""
        for principal in (f"User:{USER}", f"User:CN={CLIENT}"):
            Admin(Cluster(self.bootstrap)).grant(principal, rights_of(acls(), ["gateway"], gateway))

    @contextmanager
    def mute(self, gateway: str) -> Iterator[None]:
        """USER may send events, and no heartbeats."""
        rights = [right for right in rights_of(acls(), ["gateway"], gateway) if right.name == GATEWAYS.name]
        admin, principal = Admin(Cluster(self.bootstrap)), f"User:{USER}"
        admin.revoke(principal, rights)
        try:
            yield
        finally:
            admin.grant(principal, rights)

    def cloud_toml(self, directory: Path, part: str) -> Path:
        """A cloud.toml that logs a part in: `pipeline`, `lake`, `reader`, ... (see deploy/kafka/acls)."""
        password = directory / f"{part}-password"
        password.touch(0o600)
        password.write_text(PASSWORD)
        path = directory / f"{part}.toml"
        path.write_text(
            f'[kafka]\nbootstrap = "{self.at("LOGIN")}"\ntls = true\nca = "{self.authority.certificate}"\n'
            f'username = "{login_of(part)}"\npassword_file = "{password}"\n'
        )
        return path

    def _format_options(self) -> list[str]:
        scram = [
            f'--add-scram={mechanism}=[name={user},password="{PASSWORD}"]'
            for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256")
            for user in (USER, LIMITED, *map(login_of, acls()))
        ]
        return [*super()._format_options(), *scram]

    def _properties(self) -> str:
        common = super()._properties()
        controllers = next(line for line in common.splitlines() if line.startswith("listeners=")).partition("=")[2]
        listeners = ",".join([controllers, *(f"{name}://{self.at(name)}" for name in PROTOCOLS)])
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **PROTOCOLS}
        own = {
            "listeners": listeners,
            "advertised.listeners": listeners.replace(
                self.at("MOVED"), self.at("MOVED").replace(self.host, "localhost")
            ),
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
            "ssl.keystore.type": "PEM",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority.certificate,
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            # a wrong password would be answered late, on purpose
            "connection.failed.authentication.delay.ms": 0,
            "listener.name.mutual.ssl.client.auth": "required",
        }
        for name, protocol in PROTOCOLS.items():
            prefix = f"listener.name.{name.lower()}"
            own[f"{prefix}.ssl.keystore.location"] = self._certificates[name].both
            if protocol == "SASL_SSL":
                own[f"{prefix}.scram-sha-512.sasl.jaas.config"] = f"{_SCRAM} required;"
                own[f"{prefix}.scram-sha-256.sasl.jaas.config"] = f"{_SCRAM} required;"
                own[f"{prefix}.plain.sasl.jaas.config"] = f'{_PLAIN} required user_{USER}="{PASSWORD}";'
        return common + "".join(f"{name}={value}\n" for name, value in own.items())


def acls() -> Table:
    """What deploy/kafka/acls says."""
    return parse(ACLS.read_text(encoding="utf-8"), str(ACLS))


def login_of(part: str) -> str:
    """The login of a part."""
    return GATEWAY if part == "gateway" else part
