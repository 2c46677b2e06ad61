"""Releases, taken over: checked, used from one moment to the next, taken back where they do no good, and told of.

Catalogue, words and bundle change while the gateway runs: the next event and the next ASK meet the new one. A bundle
looks on beside the ranker in use first, and then is on trial until enough customers have rated its picks: if it fails,
or more of them call its picks too hot, the one before is used again, by itself (`bundle_trial`). A configuration takes
a restart of the daemon, and is on trial from then on: if the daemon does not get ready, or dies at its start three
times, the last good one is used again. `shelf` has what is kept of all this; nothing here knows the outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn, Protocol, TypeVar, assert_never

from cloud_sync.published import Kind
from cloud_sync.releases import KINDS, targets
from gateway import bundle_folder, shelf
from gateway.admission import check_newer, note_taken_back, note_used, trusted
from gateway.bundle_folder import PLAIN, Bundles
from gateway.config import Config
from gateway.door import Door
from gateway.pushed import overlay
from gateway.scorer import probe
from gateway.shelf import InUse, Kept
from gateway.store import Store
from gateway.transaction import Transaction
from heat.catalog import parse_catalog
from heat.errors import ModelError, PicanteError, ScorerError, StoreError
from heat.scale import parse_words
from models.bundle import Bundle
from models.probe import check_budget
from models.ranker import in_numpy
from models.signing import read_signers

log = logging.getLogger("gateway.releases")

T = TypeVar("T")

READY_S = 90.0
"""s from the start in which a configuration on trial has to be ready: twice what the slowest start is given."""
STEADY_S = 60.0
"""s for which it has to stay so: the supervisor takes a part for healthy after as long."""
LOOK_S = 1.0

State = Literal["used", "on_trial", "waiting", "refused"]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the releases of a kind, for the page, the metrics and the heartbeat."""

    kind: Kind
    target: str
    number: int
    sha256: str
    state: State
    detail: str = ""
    """Why it is refused, and what is used instead."""


class Hands(Protocol):
    """What a release changes in the running daemon."""

    def use_door(self, door: Door) -> None:
        """Let events in by these tables from now on."""

    async def use_bundle(self, bundles: Bundles) -> None:
        """Rank by this from now on."""

    async def looks_on(self, path: Path) -> str | None:
        """How far a bundle is with looking on beside the ranker in use; None once it may answer. Raises ModelError."""

    def look_away(self) -> None:
        """No bundle looks on any more."""

    def why_back(self) -> str | None:
        """Why the bundle on trial is to be taken back, if it is."""

    def settled(self) -> bool:
        """Whether it has passed its trial."""

    def restart(self) -> None:
        """Start the daemon anew, in good order."""


@dataclass(slots=True)
class Begun:
    """What a start uses."""

    config: Config
    door: Door
    bundles: Bundles = PLAIN


class Releases:
    """The releases of one gateway."""

    def __init__(self, store: Store, config: Config, door: Door) -> None:
        """`config` and `door` are as gateway.toml has them. Raises ConfigError."""
        gateway = config.gateway
        self.targets = targets(gateway.id, gateway.region)
        self._store = store
        self._plain = Begun(config, door)
        self._door = door
        self._signers = read_signers(config.path(config.keys.bundles)) if config.keys.bundles is not None else None
        self._folder = config.path(gateway.data_dir) / bundle_folder.FOLDER
        self._reader = store.reader()
        self._woken = asyncio.Event()
        self._woken.set()
        self._looking_on: tuple[str, Bundle] | None = None
        """The bundle that looks on, with its release's SHA-256: it has been checked."""
        self._how_far = ""
        self._again = False
        self._back: tuple[str, str, asyncio.Event] | None = None
        """The SHA-256 of the bundle that a person wants taken back, why, and what is set once it was looked at."""
        self.idle = False
        """Whether all that came down has been taken over, or refused."""

    def close(self) -> None:
        """Give back the reading connection."""
        self._reader.close()

    def wake(self) -> None:
        """Something came down. Call it in the event loop's thread."""
        self.idle = False
        self._woken.set()

    def try_bundle_again(self) -> None:
        """Open the bundle in use anew: its files, or what scores, were mended. `run` does it."""
        self._again = True
        self.wake()

    def take_back_bundle(self, used: InUse, why: str) -> asyncio.Event:
        """Use what was used before this bundle, and never this one again; `run` does it, and sets the event."""
        done = asyncio.Event()
        self._back = used.sha256, why, done
        self.wake()
        return done

    def trusted(self, release: Kept | InUse) -> Bundle:
        """A released bundle. Raises ModelError unless it is whole, and a trusted signer's. For any thread."""
        return self._trusted(release)

    # -- the start --------------------------------------------------------------------------------------------------

    async def begin(self) -> Begun:
        """What this start uses. A release that can't be used any more, as after an update, is refused, and told of."""
        if (told := await self._write(shelf.count_start)) is not None:
            log.warning("%s", told)
        await self._forget_untrusted()
        begun = replace(self._plain)
        for kind in KINDS:
            while (used := shelf.in_use(self._reader, kind)) is not None and not await self._begin_with(begun, used):
                pass  # what was used before it, if anything, is tried next
        self._tidy()
        self._door = begun.door
        return begun

    async def _forget_untrusted(self) -> None:
        """Don't go back to a bundle whose signer is trusted no more, or that can't be read since an update."""
        if (before := shelf.before(self._reader, "bundle")) is None:
            return
        try:
            self._trusted(before)
        except ModelError as error:
            log.warning("bundle %s for %s, from before the one in use: %s", before.number, before.target, error)
            await self._write(partial(shelf.forget_before, kind="bundle"))

    async def _begin_with(self, begun: Begun, used: InUse) -> bool:
        """Use a release for this start; whether it could be."""
        try:
            self._put_into(begun, used)
        except OSError as error:
            # the machine's fault, and passing: it waits on the shelf, and is tried again while the daemon runs
            log.warning("%s %s: %s", used.kind, used.number, error)
            await self._write(partial(shelf.stop_using, kind=used.kind))
        except Exception as error:  # noqa: BLE001 -- no content may keep the daemon from starting
            log.warning("%s %s: %s", used.kind, used.number, error)
            await self._write(partial(shelf.drop, used=used, why=_said(error)))
        else:
            return True
        return False

    def _put_into(self, begun: Begun, used: InUse) -> None:
        match used.kind:
            case "catalogue":
                begun.door = replace(begun.door, catalog=parse_catalog(used.content))
            case "words":
                begun.door = replace(begun.door, words=parse_words(used.content))
            case "bundle":
                self._trusted(used)
                begun.bundles = self._bundles(used, shelf.before(self._reader, "bundle"))
            case "configuration":
                begun.config = overlay(self._plain.config, used.content)
            case _:
                assert_never(used.kind)

    # -- while it runs ----------------------------------------------------------------------------------------------

    async def run(self, hands: Hands) -> NoReturn:
        """Take over what comes. Raises StoreError, to be run again."""
        while True:
            self._woken.clear()
            self.idle = False
            failed = [error for kind in KINDS if (error := await self._settle(kind, hands)) is not None]
            if failed:
                raise failed[0]
            self.idle = not self._woken.is_set()
            await self._wait()

    async def _wait(self) -> None:
        """Until something came down, or a bundle on trial is to be looked at again."""
        used = shelf.in_use(self._reader, "bundle")
        on_trial = self._looking_on is not None or (used is not None and used.starts is not None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S if on_trial else None):
                await self._woken.wait()

    async def _settle(self, kind: Kind, hands: Hands) -> StoreError | None:
        """Use what is wanted of a kind. Returns what the machine failed in: the other kinds don't wait for it."""
        try:
            if kind == "bundle":
                if self._again:
                    self._again = False
                    await self._use_bundle(hands)
                await self._judge_bundle(hands)
            while (wanted := await self._next(kind, hands)) is not None and await self._take_over(wanted, hands):
                pass
            if kind == "bundle" and wanted is None and self._looking_on is not None:
                self._look_away(hands)
        except StoreError as error:
            return error
        except OSError as error:
            hint = "Free space, and let the gateway write there"
            failed = StoreError(f"{self._folder}: {error.strerror}", hint=hint)
            failed.__cause__ = error
            return failed
        return None

    async def _next(self, kind: Kind, hands: Hands) -> Kept | None:
        """The release of a kind that is wanted, and not used yet; None once all is as it should be."""
        used = shelf.in_use(self._reader, kind)
        wanted = shelf.wanted(self._reader, kind, self.targets, used)
        if wanted is None:
            if used is not None:
                await self._use_none(kind, hands)
            return None
        if isinstance(wanted, InUse) or (used is not None and used.is_of(wanted)):
            return None
        if used is not None and used.sha256 == wanted.sha256:
            await self._write(partial(shelf.rename, kept=wanted))
            return None
        return wanted

    async def _take_over(self, wanted: Kept, hands: Hands) -> bool:
        """Check a release, note that it is used, use it, in this order: a kill leaves the old one or the new one.

        Returns whether that is over; a bundle looks on first.
        """
        name = f"{wanted.kind} {wanted.number} for {wanted.target}"
        try:
            checked = await self._check(wanted)
            if isinstance(checked, Bundle) and await self._looks_on(wanted, checked, hands):
                return False
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 -- no content may hold up the others
            log.warning("%s is refused: %s", name, error)
            await self._refuse(wanted, _said(error), hands)
            return True
        finally:
            if wanted.kind == "bundle" and not self._how_far:
                self._looking_on = None
        now_ms, on_trial = time.time_ns() // 1_000_000, wanted.kind in {"bundle", "configuration"}

        def use(tx: Transaction) -> None:
            shelf.use(tx, wanted, now_ms, on_trial=on_trial)
            if isinstance(checked, Bundle):
                note_used(tx, wanted, checked)

        await self._write(use, upkeep=False)
        match checked:
            case Door():
                self._use_door(checked, hands)
            case Bundle():
                await self._use_bundle(hands)
            case Config():
                hands.restart()
            case _:
                assert_never(checked)
        log.info("%s is used", name)
        return True

    async def _refuse(self, wanted: Kept, why: str, hands: Hands) -> None:
        await self._write(partial(shelf.refuse, kept=wanted, why=why))
        if wanted.kind == "bundle":
            self._look_away(hands)

    async def _looks_on(self, wanted: Kept, bundle: Bundle, hands: Hands) -> bool:
        """Whether a bundle is to look on a while longer. Raises ModelError."""
        self._looking_on, self._how_far = (wanted.sha256, bundle), ""
        self._how_far = await hands.looks_on(bundle.path) or ""
        return bool(self._how_far)

    def _look_away(self, hands: Hands) -> None:
        """What looked on was withdrawn, replaced, or is refused."""
        self._looking_on, self._how_far = None, ""
        hands.look_away()
        self._tidy()

    async def _judge_bundle(self, hands: Hands) -> None:
        """See what customers made of a bundle on trial, and what somebody wants of it."""
        wanted, self._back = self._back, None
        try:
            await self._judge_bundle_in_use(hands, wanted)
        finally:
            if wanted is not None:
                wanted[2].set()

    async def _judge_bundle_in_use(self, hands: Hands, wanted: tuple[str, str, asyncio.Event] | None) -> None:
        used = shelf.in_use(self._reader, "bundle")
        by_hand = wanted[1] if wanted is not None and used is not None and used.sha256 == wanted[0] else None
        if used is None or (used.starts is None and by_hand is None):
            return
        if (why := by_hand or hands.why_back()) is not None:

            def take_back(tx: Transaction) -> str:
                note_taken_back(tx, used.target)
                return shelf.take_back(tx, used, why)

            log.warning("%s", await self._write(take_back))
            await self._use_bundle(hands)
        elif hands.settled():
            await self._write(partial(shelf.pass_trial, kind="bundle"))
            log.info("bundle %s for %s has passed its trial", used.number, used.target)
            await self._use_bundle(hands)

    async def _use_bundle(self, hands: Hands) -> None:
        """Use what the shelf says. Raises OSError."""
        used, before = shelf.in_use(self._reader, "bundle"), shelf.before(self._reader, "bundle")
        bundles = PLAIN if used is None else await asyncio.to_thread(self._bundles, used, before)
        await hands.use_bundle(bundles)
        self._tidy()

    def _tidy(self) -> None:
        """Keep the directories of what is used, of what may come back, and of what looks on."""
        kept = shelf.in_use(self._reader, "bundle"), shelf.before(self._reader, "bundle")
        paths = [bundle_folder.place(self._folder, one.sha256) for one in kept if one is not None]
        if self._looking_on is not None:
            paths.append(self._looking_on[1].path)
        bundle_folder.tidy(self._folder, *paths)

    def _bundles(self, used: InUse, before: InUse | None) -> Bundles:
        """The directories of what is used, and of what was before. Raises ModelError, OSError."""
        now = bundle_folder.put(self._folder, used.sha256, used.content)
        if used.starts is None:
            return Bundles(now)
        back_to = bundle_folder.put(self._folder, before.sha256, before.content) if before is not None else None
        return Bundles(now, back_to, on_trial=True)

    def _trusted(self, release: Kept | InUse) -> Bundle:
        """A released bundle, not on the disk yet. Raises ModelError unless it is whole, and a trusted signer's."""
        return trusted(release.content, bundle_folder.place(self._folder, release.sha256), self._signers)

    async def _check(self, wanted: Kept) -> Door | Bundle | Config:
        """What a release makes of the daemon. Raises OSError, and whatever its content leads to."""
        match wanted.kind:
            case "catalogue":
                return replace(self._door, catalog=parse_catalog(wanted.content))
            case "words":
                return replace(self._door, words=parse_words(wanted.content))
            case "bundle":
                if self._looking_on is not None and self._looking_on[0] == wanted.sha256:
                    return self._looking_on[1]
                bundle = await asyncio.to_thread(self._trusted, wanted)
                check_newer(self._reader, wanted, bundle)
                await asyncio.to_thread(bundle_folder.put, self._folder, wanted.sha256, wanted.content)
                await _try(bundle)
                return bundle
            case "configuration":
                return overlay(self._plain.config, wanted.content)
            case _:
                assert_never(wanted.kind)

    async def _use_none(self, kind: Kind, hands: Hands) -> None:
        log.info("%s: what gateway.toml names is used again", kind)
        await self._write(partial(shelf.stop_using, kind=kind))
        match kind:
            case "catalogue":
                self._use_door(replace(self._door, catalog=self._plain.door.catalog), hands)
            case "words":
                self._use_door(replace(self._door, words=self._plain.door.words), hands)
            case "bundle":
                await self._use_bundle(hands)
            case "configuration":
                hands.restart()
            case _:
                assert_never(kind)

    def _use_door(self, door: Door, hands: Hands) -> None:
        self._door = door
        hands.use_door(door)

    # -- the trial --------------------------------------------------------------------------------------------------

    async def watch_trial(self, is_ready: Callable[[], bool], hands: Hands) -> None:
        """See that a configuration on trial gets ready and stays so; else take it back, and start anew."""
        used = shelf.in_use(self._reader, "configuration")
        if used is None or used.starts is None:
            return
        loop = asyncio.get_running_loop()
        give_up_s, since_s = loop.time() + READY_S, None
        while since_s is None or loop.time() - since_s < STEADY_S:
            if is_ready():
                since_s = since_s or loop.time()
            elif since_s is not None or loop.time() >= give_up_s:
                why = "the gateway did not stay ready" if since_s is not None else f"it was not ready in {READY_S:g} s"
                log.warning("%s", await self._write(partial(shelf.take_back, used=used, why=why)))
                hands.restart()
                return
            await asyncio.sleep(LOOK_S)
        await self._write(partial(shelf.pass_trial, kind="configuration"))
        log.info("configuration %s for %s has passed its trial", used.number, used.target)

    # -- what is told -----------------------------------------------------------------------------------------------

    def report(self) -> Sequence[Report]:
        """What became of the releases that are meant for this gateway, one a kind."""
        found = []
        for kind in KINDS:
            wanted, used = next(shelf.meant(self._reader, kind, self.targets), None), shelf.in_use(self._reader, kind)
            if wanted is not None and (used is None or not used.is_of(wanted)):
                instead = f"number {used.number} for {used.target}" if used else "what gateway.toml names"
                detail = f"{wanted.refused}. Used instead: {instead}" if wanted.refused else ""
                if self._looking_on is not None and self._looking_on[0] == wanted.sha256:
                    detail = self._how_far
                state: State = "refused" if wanted.refused else "waiting"
                found.append(Report(kind, wanted.target, wanted.number, wanted.sha256, state, detail))
            elif used is not None:
                state = "used" if used.starts is None else "on_trial"
                found.append(Report(kind, used.target, used.number, used.sha256, state))
        return found

    async def _write(self, work: Callable[[Transaction], T], *, upkeep: bool = True) -> T:
        """What only changes rows that are there is done on a full store, too."""
        return await asyncio.wrap_future(self._store.write(work, upkeep=upkeep))


def _said(error: Exception) -> str:
    """Why content can't be used."""
    return str(error) if isinstance(error, PicanteError) else f"it can't be read ({error!r})"


async def _try(bundle: Bundle) -> None:
    """Have a bundle score in a process of its own, or in NumPy where onnxruntime does not work. Raises ModelError."""
    try:
        await probe(bundle.path)
    except ScorerError as error:
        log.info("%s", error)
        await asyncio.to_thread(lambda: check_budget(bundle, in_numpy(bundle)))
