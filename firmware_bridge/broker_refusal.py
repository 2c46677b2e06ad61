"""What an MQTT broker and we have against each other -> `BrokerRefused`: who refuses whom, why, and what to do.

With TLS 1.3 a broker looks at our certificate after we think that we are connected, and paho says no more than that the
connection was lost: `knock` then opens a connection of its own, says nothing, and hears the reason.
"""

from __future__ import annotations

import contextlib
import socket
import ssl

from paho.mqtt.reasoncodes import ReasonCode

from heat.errors import BrokerRefused

KNOCK_S = 2.0
"""Seconds in which a broker says what it has against a certificate; one that is content waits for our CONNECT."""

_OTHER_NAME = {62, 64}
_EXPIRED, _NOT_YET = 10, 9
"""OpenSSL's X509_V_ERR_... of a certificate that could not be verified."""
_ALERTS = {
    "CERTIFICATE_EXPIRED": ("has expired, or this machine's clock is wrong", "Have it renewed"),
    "CERTIFICATE_REVOKED": ("was revoked", "Have a new one made"),
    "UNKNOWN_CA": ("is of an authority that it does not trust", "Have one made by the broker's authority"),
    "CERTIFICATE_REQUIRED": ("is missing", "Have one made by the broker's authority"),
    "HANDSHAKE_FAILURE": ("is missing, or it takes none of our ciphers", "Have one made by the broker's authority"),
    "BAD_CERTIFICATE": ("is no good", "Have a new one made"),
    "CERTIFICATE_UNKNOWN": ("is no good", "Have a new one made"),
    "ACCESS_DENIED": ("may not connect", "See the broker's log"),
}
"""In OpenSSL's names of what the other side has against our certificate: what that is, and what to do."""
_LOGIN = {"Bad user name or password", "Not authorized", "Bad authentication method", "Banned"}
"""Reasons of a CONNACK that a login can mend, in paho's words."""


def refusal(error: BaseException, broker: str) -> BrokerRefused | None:
    """What went wrong while TLS was set up, as a refusal; None where nobody refused anybody."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, broker)
    if isinstance(error, ssl.SSLError):
        return _turned_away(error, broker)
    return None


def login_refused(reason: ReasonCode, broker: str, username: str | None) -> BrokerRefused | None:
    """A CONNACK that says no, as a refusal; None where the broker is merely unwell."""
    if str(reason) not in _LOGIN:
        return None
    who = f"user {username}" if username else "the gateway"
    hint = "Mend mqtt.username in gateway.toml and the file of mqtt.password_file, or its rights at the broker"
    return BrokerRefused(f"{broker} refuses {who}: {str(reason).lower()}", hint=hint)


def knock(host: str, port: int, tls: ssl.SSLContext, patience_s: float = KNOCK_S) -> BaseException | None:
    """What a bare connection meets, if anything. Blocks for all its patience where all is well."""
    try:
        with (
            socket.create_connection((host, port), patience_s) as bare,
            tls.wrap_socket(bare, server_hostname=host) as way,
            contextlib.suppress(TimeoutError),
        ):
            way.recv(1)
    except OSError as error:
        return error
    return None


def _untrusted(error: ssl.SSLCertVerificationError, broker: str) -> BrokerRefused:
    code = error.verify_code
    if code in _OTHER_NAME:
        what = f"the certificate of {broker} is for another name"
        hint = "Write its name as in the certificate in [mqtt] host, or have the broker given another certificate"
    elif code == _EXPIRED:
        what = f"the certificate of {broker} has expired"
        hint = "Have it renewed at the broker; if it was, set this machine's clock"
    elif code == _NOT_YET:
        what, hint = f"the certificate of {broker} is not valid yet", "Set this machine's clock"
    else:
        what = f"the certificate of {broker} is not trusted ({error.verify_message})"
        hint = "Put the certificate of the authority that signed it into the file that mqtt.ca names"
    return BrokerRefused(what, hint=hint)


def _turned_away(error: ssl.SSLError, broker: str) -> BrokerRefused | None:
    reason = error.reason or ""
    if reason in {"WRONG_VERSION_NUMBER", "UNEXPECTED_MESSAGE"} or "HTTP" in reason:
        return BrokerRefused(f"{broker} does not speak TLS", hint="Set mqtt.port to its port for TLS (8883 by custom)")
    for name, (what, hint) in _ALERTS.items():
        if reason.endswith(f"ALERT_{name}"):
            where = "and put it where mqtt.certificate and mqtt.key in gateway.toml say"
            return BrokerRefused(f"{broker} refuses the gateway's certificate: it {what}", hint=f"{hint}, {where}")
    return None
