"""What the gateway's other parts say in English, as messages: advice, errors and their hints, for pages.

They say it to logs and programs, too, and know nothing of languages; `said` finds the message again. What is not listed
is said as it is: the words of the system, of a library, of a file.
"""

from __future__ import annotations

import functools
import re

from gateway.web.language import Text

LONGEST = 1_000
"""Characters; nobody here says more at once."""

_ADVICE = (
    Text("another dispenser of this name is online on {link}"),
    Text("another dispenser of this name waits on {link}"),
    Text("it is adopted, and let in at its next HELLO"),
    Text("it is adopted, and gets its key at its next HELLO"),
    Text("it is adopted, and a key is not told on a line that others may hear"),
    Text("it has no key"),
    Text("it had a key, and has lost it"),
    Text("it has another key than the new one that was made for it"),
    Text("its key is not the one that is known here"),
    Text("it takes no key, and its own is not known here"),
    Text("it was forgotten here, and its key in a file counts no more"),
    Text("it has the key of another gateway"),
    Text("Wait: that takes 10 s at most"),
    Text("Give one of the two another id (a setting of its firmware), or unplug it"),
    Text("Connect it by cable to this machine once, or use TLS ([mqtt] tls)"),
    Text("Reset it to the factory's settings (its reset button, ten seconds): it is told the new one then"),
    Text("Reset it to the factory's settings (its reset button, ten seconds), then {command}"),
    Text("Reset it to the factory's settings (its reset button, ten seconds), then {command}. Or: {other}"),
    Text(
        "Reset it to the factory's settings (its reset button, ten seconds), then {command}."
        " Or, with its key again: {other}"
    ),
    Text("{command}, with its key"),
    Text("picante dispensers forget {dispenser}, then {command}"),
)
"""Of dispensers that are not let in."""
_ADOPTION = (
    Text("{dispenser} on {port} is not the only one: another of this name is online on {link}"),
    Text("{dispenser} on {port} is not the only one: another of this name waits on {link}"),
    Text("{dispenser} has no key that could be changed"),
    Text("{dispenser} speaks version 1, which changes no keys"),
    Text("{dispenser} speaks version 1, which takes no key"),
    Text("{dispenser} has another key here"),
    Text("{dispenser} is adopted, and was reset, and has lost its key"),
    Text("{dispenser} is adopted, and has another key than the one known here"),
    Text("{dispenser} has not said HELLO"),
    Text("{dispenser} has the key of another gateway"),
    Text("{dispenser} has no key, so not this one either"),
    Text("{other} is called {name}"),
    Text("Its key is new, and waits for its first HELLO"),
    Text("Update its firmware, or change its key by hand: forget it, and adopt it with --key-file"),
    Text("Plug it in, and wait until it is in picante dispensers list; or give its key with --key-file"),
    Text("Give the one that its firmware was built with: --key-file FILE"),
    Text("Give another name, or rename that one first"),
    Text("this can't be a name"),
    Text("Use 1 to {most} printable characters, like: Bar, left"),
    Text("key is not 64 hex digits"),
    Text("Make one: openssl rand -hex 32"),
    Text("Did you mean {name}?"),
)
_COMMANDS = (
    Text("{n} commands wait for {dispenser} already"),
    Text("Wait until it has taken some; what it does not take is dropped when its time is over"),
    Text("Some of this can't be taken"),
    Text("this was not confirmed"),
    Text("Hold the button for a second, or type {word}"),
    Text("Type its id"),
    Text("somebody else has changed this meanwhile"),
    Text("Look at what it is now, and send the change again if it is still right"),
    Text("there is no dispenser of this name"),
    Text("no dispenser of this name was ever here"),
    Text("Choose one of the list"),
    Text("{dispenser} has no nozzle {nozzle}"),
    Text("the page is on the gateway's own machine alone"),
    Text("{name} may not do this"),
    Text("this is no customer"),
    Text("Give a pseudonym (p1-<32 hex digits>), never a token"),
    Text("Give a pseudonym (p1-<32 hex digits>), never a token; a session is forgotten at its end anyway"),
    Text("no released model is in use"),
    Text("The model that gateway.toml names is in use; set another there, or have one released"),
    Text("Its steps say what to do"),
    Text("Look again"),
)
_DISPENSERS = (
    Text("a customer stands there"),
    Text("another command is still running"),
)
"""What a dispenser says that refuses a command."""
_CALIBRATION = (
    Text("{ml} ml can't be"),
    Text("Between {least} and {most} ml. Look at the unit again"),
    Text("the meter counted nothing"),
    Text("pour {number} can't be {ml} ml: the meter counted {believed} ml, and no meter is off by more than {most}"),
    Text("Read it off again. If the factor is that far off, set it near the truth first: {command}"),
    Text("a test pour gave nothing"),
    Text("See whether the bottle is empty, or the nozzle blocked"),
    Text("whether the last calibration of nozzle {nozzle} was carried out is not known yet"),
    Text("no calibration of nozzle {nozzle} is known here"),
    Text("Only a calibration that this gateway ordered, and remembers, can be undone, and only once"),
)
_PEOPLE = (
    Text("the password has less than {n} characters"),
    Text("the password has more than {n} characters"),
    Text("the password is the first that anybody tries"),
    Text("Take three words"),
    Text("Take a shorter one"),
    Text("a name has 1 to {n} characters"),
    Text("Take a first name"),
    Text("nobody can be called console"),
    Text("The audit log calls the machine itself so"),
    Text("nobody is called so"),
    Text("somebody is called so already"),
    Text("Take another name"),
    Text("there are {n} people already"),
    Text("Remove those who left"),
    Text("the last owner can't go"),
    Text("Make somebody else an owner first"),
    Text("there is no such scope"),
    Text("Scopes: read, service, owner, metrics, kiosk:DISPENSER"),
    Text("a token's name has 1 to 60 characters"),
    Text("Say what uses it: prometheus"),
    Text("a token is good for 1 to {n} days"),
    Text("Leave it out for no end"),
    Text("there are {n} tokens already"),
    Text("Revoke those that nobody uses"),
    Text("too many passwords are being looked at"),
    Text("Try again in a second"),
    Text("this is not the password so far"),
    Text("Type the one you signed in with"),
    Text("too many wrong passwords"),
    Text("Wait {seconds} s"),
    Text("there is no such session"),
    Text("It may have ended already"),
    Text("there is no such token"),
    Text("It may be over already"),
)
_BACKUP = (
    Text("the two passphrases differ"),
    Text("Type it twice, the same"),
    Text("the passphrase has fewer than {n} characters"),
    Text("Take four words, say"),
    Text("this is no backup of a gateway"),
    Text("Choose a file that `picante gateway backup` or the page System wrote, by this version of Picante or before"),
    Text("the passphrase is not the backup's"),
    Text("Type the passphrase that it was made with; if that is it, the file is damaged"),
    Text("Type the passphrase that it was made with"),
    Text("the backup is sealed"),
    Text("the backup is damaged"),
    Text("the backup ends too early"),
    Text("It was damaged or cut off on its way: take it, or copy it here, again"),
    Text("Take the backup again, or another one"),
    Text("it is a backup of {gateway}, and this is {own}"),
    Text('Where this one is to take its place, set id = "{gateway}" in [gateway] first'),
    Text("a newer Picante made this backup"),
    Text("Install Picante {version}, or a later one"),
    Text("there is no room for its {n} MiB"),
    Text("there is no room for a copy of {n} MiB"),
    Text("Free some space: what is there now is kept beside it"),
    Text("Free some space, or have `picante gateway backup` write it to another disk"),
    Text("the disk has no room for this file"),
    Text("Free some space, or restore it on the machine: picante gateway restore"),
    Text("the file stopped coming"),
    Text("Send it again"),
    Text("the form is cut off, or none"),
    Text("Send the file again"),
    Text("no backup was sent"),
    Text("Send its file first"),
    Text("nothing was checked yet"),
    Text("Send a backup, and have it checked, first"),
    Text("a backup is being made, sent or checked"),
    Text("Wait until it is done; large databases take a minute"),
    Text("the next start has its orders"),
    Text("Restart the gateway first"),
    Text("See that this disk works and has space"),
    Text("its database can't be used: {why}"),
    Text("Take another backup"),
)
_SETUP = (
    Text("{what} {name} is not a name"),
    Text("is what a gateway is called that has no name yet"),
)
_CLOCK = (
    Text("this clock was never set"),
    Text("Set it on the machine: sudo timedatectl set-time '2026-05-01 09:30'"),
)
_PORTS = (
    Text("The serial server {port} can't be reached: {why}"),
    Text("Check its power and its network, and its address in [serial] of gateway.toml"),
    Text("{port} can't be used: {why}"),
    Text("Check that it is a serial port, and its rate in [serial] of gateway.toml"),
    Text("{port} does not do as an RFC 2217 server does: {why}"),
    Text("Set the rate at the server itself, and write socket:// in gateway.toml"),
    Text("{port} is in use by {who}"),
    Text("End it; the port is taken as soon as it is free"),
    Text("{port} may not be opened by this user"),
    Text("Put the daemon's user into the group {group}, and restart the daemon"),
    Text("Check the cable"),
)
_KAFKA = (
    Text("{broker} refuses user {user}: wrong name or password"),
    Text("Mend kafka.username in gateway.toml, or the password in the file that kafka.password_file names"),
    Text("{broker} takes no login by {mechanism}"),
    Text("Set kafka.sasl_mechanism in gateway.toml to what this port takes, or another bootstrap"),
    Text("the certificate of {broker} is for another name"),
    Text("the certificate of {broker} has expired"),
    Text("the certificate of {broker} is not valid yet"),
    Text("the certificate of {broker} is not trusted ({why})"),
    Text("Have it renewed at the broker; if it was, set this machine's clock"),
    Text("Set this machine's clock"),
    Text("Put the certificate of the authority that signed it into the file that kafka.ca names"),
    Text("{broker} does not take the gateway's certificate, or wants one ({why})"),
    Text("{what}: the login may not do that ({why})"),
    Text("Give the gateway's login the rights that docs/operations.md lists"),
    Text("{what}: no answer in time"),
    Text("Check the network and Kafka"),
    Text("Kafka's position was written by another gateway of this name (instance {instance})"),
    Text(
        "If another gateway runs under this name, give it one of its own or stop it for good; then, or if"
        " there is none (a new card, or an old one restored), run: picante gateway adopt"
    ),
)
SENTENCES = (
    *_ADVICE,
    *_ADOPTION,
    *_COMMANDS,
    *_DISPENSERS,
    *_CALIBRATION,
    *_PEOPLE,
    *_BACKUP,
    *_SETUP,
    *_CLOCK,
    *_PORTS,
    *_KAFKA,
)

_VALUE = re.compile(r"\{(\w+)\}")
_WHOLE = {text.message: text for text in SENTENCES if not _VALUE.search(text.message)}


def pattern(message: str) -> re.Pattern[str]:
    """What a message with values looks like."""
    pieces = _VALUE.split(message)  # words, name, words, name, words
    return re.compile("".join(f"(?P<{each}>.+)" if at % 2 else re.escape(each) for at, each in enumerate(pieces)))


_PATTERNS = sorted(
    ((pattern(text.message), text) for text in SENTENCES if text.message not in _WHOLE),
    key=lambda each: -len(_VALUE.sub("", each[1].message)),
)
"""Those that say the most themselves first: "{a}: {b}" fits much."""


def heard(what: Text | str, hint: str = "") -> Text | str:
    """A sentence of another part, and the hint that came with it, to be said in the reader's language.

    A message stays one.
    """
    if isinstance(what, Text):
        return what
    return Text("{what}. {hint}", what=_one(what), hint=_one(hint)) if hint else _one(what)


def heard_whole(error: str) -> Text | str:
    """An error's whole text: what happened, and the hint."""
    what, _, hint = error.partition(". ")
    return heard(what.rstrip("."), hint.rstrip("."))


@functools.lru_cache(maxsize=256)
def _one(line: str) -> Text | str:
    if (text := _WHOLE.get(line)) is not None:
        return text
    if len(line) <= LONGEST:
        for looks, text in _PATTERNS:
            if (found := looks.fullmatch(line)) is not None:
                return Text(text.message, **found.groupdict())
    return line
