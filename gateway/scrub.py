"""The last line of defence: what leaves this machine in a log or a support bundle has no secrets, and no customers.

Where texts are made, secrets are left out already. This goes on the assumption that somebody forgot it. It takes away

- the secrets that this gateway knows, however they are written (plain, hex, base64);
- what somebody wrote into a wrong place of the configuration: `(got 'hunter2')`;
- what a label calls a secret (`password=...`, `Bearer ...`), passwords in URLs, hashes of passwords, PEM blocks;
- every word that is neither made of letters alone, nor a short number, nor one of the names that are known to be
  harmless (dispensers, ports, hosts): a loyalty token, a pseudonym, a session, a key that nobody knows of.

Too much is lost by it rather than too little: a port whose name is not known is an ellipsis.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

GONE = "\u2026"
SHORTEST = 4
"""Characters of a secret that is looked for as it is; a shorter one would be found in every second word."""
LONGEST_NUMBER = 6
"""Digits; ports, counts and milliseconds have as many. Cards and telephones have more."""
LONGEST_WORD = 32
"""Letters without anything between them; what is longer is no word."""

_LABELLED = re.compile(
    r"""(?ix) \b ((?: [\w-]* (?: passw(?:or)?d | passphrase | secret | token | authorization | cookie | credential
        | (?: api | access | private | pseudonym | dispenser | session )[_ -]?key ) | pwd | setup[_ -]?code | key )
        ["']? \s* [:=] \s* ["']? (?: (?: bearer | basic ) \s+ )? ) ([^\s"',;)}\]]+)"""
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")
_IN_URL = re.compile(r"(?<=//)[^\s/@]+@")
_GOT = re.compile(r"""(?<=\(got ['"]).+?(?=['"]\))""")
"""What somebody wrote where it does not belong, as errors of the configuration repeat it."""
_ARGON2 = re.compile(r"\$argon2\w*\$[^\s\"']+")
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_MOMENT = re.compile(r"\b(?:19|20)\d\d-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?!\w)")
_RUN = re.compile(r"[A-Za-z0-9_+/=~-]+")
_WORD = re.compile(r"[A-Za-z0-9_+=~-]+")
_BASE64_RUN = re.compile(r"[A-Za-z0-9+/=_-]{20,}")
_SIGN = re.compile(r"[0-9A-Za-z]")


class Scrubber:
    """Takes secrets out of texts. Its repr has none."""

    def __init__(self, secrets: Iterable[bytes] = (), names: Iterable[str] = ()) -> None:
        """`secrets` are what this gateway knows; `names` may stay, as whole words between blanks, slashes, dots."""
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        self._head = min([SHORTEST, *(len(form.casefold()) for form in forms)])
        self._forms: dict[str, list[str]] = {}
        """By the characters that they begin with."""
        for form in forms:
            self._forms.setdefault(form.casefold()[: self._head], []).append(form)
        self._names = {word for name in names for word in (name, *_WORD.findall(name))}

    def __repr__(self) -> str:
        return f"Scrubber({len(self._names)} names)"

    def text(self, text: str) -> str:
        """A text without what must not leave."""
        text = self._without_known(text)
        for got in _GOT.findall(text):
            text = text.replace(got, GONE)
        text = _PEM.sub(GONE, text)
        text = _ARGON2.sub(GONE, text)
        text = _IN_URL.sub(f"{GONE}@", text)
        text = _LABELLED.sub(lambda found: found[1] + GONE, text)
        text = _BEARER.sub(lambda found: f"{found[1]} {GONE}", text)
        return self._words(text)

    def _without_known(self, text: str) -> str:
        """Those are tried whose first characters stand in it: all that 200 dispensers have would take 2 ms a line."""
        folded = text.casefold()
        ahead = (folded[at:] for at in range(self._head))
        heads = self._forms.keys() & set(map("".join, zip(*ahead, strict=False)))
        if not heads:
            return text
        forms = sorted((form for head in heads for form in self._forms[head]), key=len, reverse=True)
        return re.sub("|".join(map(re.escape, forms)), GONE, text, flags=re.IGNORECASE)

    def _words(self, text: str) -> str:
        done, at = [], 0
        for moment in _MOMENT.finditer(text):
            done += [_RUN.sub(self._run, text[at : moment.start()]), moment[0]]
            at = moment.end()
        return "".join([*done, _RUN.sub(self._run, text[at:])])

    def _run(self, found: re.Match[str]) -> str:
        """A run without blanks: a path is looked at word by word, what may be base64 as a whole."""
        run = found[0]
        if run in self._names:
            return run
        if _BASE64_RUN.fullmatch(run) and not run.startswith("/") and _mixed(run):
            return GONE
        return _WORD.sub(lambda word: word[0] if self._harmless(word[0]) else GONE, run)

    def _harmless(self, word: str) -> bool:
        if word in self._names or word.strip("_-+=~") in self._names:
            return True
        signs = "".join(_SIGN.findall(word))
        if signs.isdecimal():
            return len(signs) <= LONGEST_NUMBER
        if signs.isalpha():
            return max(len(part) for part in re.split(r"[^A-Za-z]+", word)) <= LONGEST_WORD
        return not signs


def _mixed(run: str) -> bool:
    """Whether small letters, capitals and digits are all in it, as in what a program made up."""
    return bool(re.search(r"[a-z]", run) and re.search(r"[A-Z]", run) and re.search(r"[0-9]", run))


def _forms(secret: bytes) -> set[str]:
    """How a secret may be written: as it is, hex, and base64 wherever in a longer text it began."""
    forms = {secret.hex()}
    for ahead in range(3):
        coded = base64.b64encode(bytes(ahead) + secret).decode()
        # without the signs that also depend on what was before and after it
        inner = coded[(ahead * 8 + 5) // 6 : (ahead + len(secret)) * 8 // 6]
        if len(inner) >= SHORTEST:
            forms |= {inner, inner.replace("+", "-").replace("/", "_")}
    try:
        plain = secret.decode()
    except UnicodeDecodeError:
        return forms
    if plain.isprintable():
        forms.add(plain)
        if re.fullmatch(r"(?:[0-9a-fA-F]{2}){8,}", plain):  # told in hex: the bytes are the secret
            forms |= _forms(bytes.fromhex(plain)) - {plain}
    return forms
