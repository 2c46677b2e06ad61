"""What a broker and we have against each other -> `SinkRefused`: who refuses whom, why, and what to do.

aiokafka tells no more than that it could not connect: `kafka_client` knocks once more and hands over what came of it.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)

from cloud_sync.settings import Security
from heat.errors import SinkRefused

NOT_ALLOWED = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
"""aiokafka's errors of a login that lacks rights."""

_OTHER_NAME = {62, 64}
_EXPIRED, _NOT_YET = 10, 9
"""OpenSSL's X509_V_ERR_... of a certificate that could not be verified."""
_ALERTS = ("ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE", "ALERT_UNKNOWN_CA", "ALERT_ACCESS_DENIED")
"""In OpenSSL's names of what the other side has against our certificate, or against there being none."""


def refusal(error: BaseException, broker: str, security: Security) -> SinkRefused | None:
    """What went wrong as a refusal, or None where nobody refused anybody. `broker` is HOST:PORT."""
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return _untrusted(cause, broker)
            case ssl.SSLError() if any(word in (cause.reason or "") for word in _ALERTS):
                return _turned_away(cause, broker)
            case SaslAuthenticationFailed():
                hint = "Mend kafka.username in gateway.toml, or the password in the file that kafka.password_file names"
                return SinkRefused(f"{broker} refuses user {security.username}: wrong name or password", hint=hint)
            case UnsupportedSaslMechanismError() | IllegalSaslStateError():
                hint = "Set kafka.sasl_mechanism in gateway.toml to what this port takes, or another bootstrap"
                return SinkRefused(f"{broker} takes no login by {security.mechanism}", hint=hint)
            case UnicodeError():  # a ValueError, too: a host's name that can't be one
                pass
            case ValueError() if security.username:
                # aiokafka's, of a SCRAM answer that only one who knows the password could give
                hint = "Another server answers in its place: see [kafka] bootstrap in gateway.toml"
                return SinkRefused(f"{broker} does not know the password of {security.username}", hint=hint)
            case KeyError() if security.username:  # aiokafka's, of a SCRAM answer that says no
                hint = "Mend kafka.username and kafka.password_file in gateway.toml; is it the right server?"
                return SinkRefused(f"{broker} does not go on with the login of {security.username}", hint=hint)
            case _:
                pass  # what it is chained to may be one
    return None


def lacking(error: BaseException) -> str:
    """Which right a login lacks, by one of `NOT_ALLOWED`: aiokafka names topics as a set, else in a text."""
    what = error.args[0] if error.args else ""
    names = ", ".join(sorted(what)) if isinstance(what, set) else str(what)
    kind = type(error).__name__
    return f"{kind}: {names}" if names else kind


def _untrusted(error: ssl.SSLCertVerificationError, broker: str) -> SinkRefused:
    code = error.verify_code
    if code in _OTHER_NAME:
        what = f"the certificate of {broker} is for another name"
        hint = "Write its name as in the certificate in [kafka] bootstrap, or have the broker given another certificate"
    elif code == _EXPIRED:
        what = f"the certificate of {broker} has expired"
        hint = "Have it renewed at the broker; if it was, set this machine's clock"
    elif code == _NOT_YET:
        what, hint = f"the certificate of {broker} is not valid yet", "Set this machine's clock"
    else:
        what = f"the certificate of {broker} is not trusted ({error.verify_message})"
        hint = "Put the certificate of the authority that signed it into the file that kafka.ca names"
    return SinkRefused(what, hint=hint)


def _turned_away(error: ssl.SSLError, broker: str) -> SinkRefused:
    why = (error.reason or "").rpartition("ALERT_")[2].lower().replace("_", " ")
    hint = "Give kafka.certificate and kafka.key in gateway.toml a certificate that the broker trusts and that is valid"
    return SinkRefused(f"{broker} does not take the gateway's certificate, or wants one ({why})", hint=hint)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
