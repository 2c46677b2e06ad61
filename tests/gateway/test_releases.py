"""Releases taken over: checked, used at once or after a restart, taken back, whole after any end of the process."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TypeVar

import pytest

from cloud_sync import releases as contract
from cloud_sync.published import Kind, Release, publish
from gateway import bundle_folder, shelf
from gateway.bundle_folder import PLAIN, Bundles
from gateway.config import Config
from gateway.door import Door
from gateway.releases import Begun, Releases, Report
from gateway.store import Settings, Store, open_store
from gateway.transaction import Transaction
from heat.catalog import default_catalog
from heat.errors import DataError, ModelError, StoreError, StoreFull
from models.bundle import load, pack, pretrained, unpack
from models.manifest import MANIFEST_NAME
from tests.signed import released, trust
from tests.waiting import wait_until_async

GATEWAY, REGION = "gw-1", "south"
T = TypeVar("T")


def catalogue(version: str) -> bytes:
    """A catalogue like ours, of another version."""
    document = json.loads(resources.files("heat").joinpath("data/catalog.json").read_bytes())
    return json.dumps(document | {"version": version}).encode()


def words(version: str) -> bytes:
    """The same of the words."""
    document = json.loads(resources.files("heat").joinpath("data/words.json").read_bytes())
    return json.dumps(document | {"version": version}).encode()


def configuration(**samples: int) -> bytes:
    """A configuration that sets limits of the sensors."""
    return "\n".join(["[samples]", *(f"{key} = {value}" for key, value in samples.items())]).encode()


class Dead(Exception):
    """The process ends here."""


@dataclass
class Hands:
    """The daemon, as releases change it."""

    door: Door
    restarts: int = 0
    bundles: list[Bundles] = field(default_factory=list)
    how_far: list[str | ModelError] = field(default_factory=list)
    """How far a bundle is with looking on, each time that this is asked; or why it must not answer."""
    looking_on: Path | None = None
    """What looked on the last time that something was asked."""
    judged: str = ""
    """What becomes of the bundle on trial: `settled`, or why it is taken back."""

    def use_door(self, door: Door) -> None:
        """See `releases.Hands`."""
        self.door = door

    async def use_bundle(self, bundles: Bundles) -> None:
        """See `releases.Hands`."""
        self.bundles.append(bundles)
        self.judged = ""

    async def looks_on(self, path: Path) -> str | None:
        """See `releases.Hands`."""
        self.looking_on = path
        load(path)
        said = self.how_far.pop(0) if self.how_far else None
        if isinstance(said, ModelError):
            raise said
        return said

    def look_away(self) -> None:
        """See `releases.Hands`."""
        self.looking_on = None

    def why_back(self) -> str | None:
        """See `releases.Hands`."""
        return self.judged if self.judged not in {"", "settled"} else None

    def settled(self) -> bool:
        """See `releases.Hands`."""
        return self.judged == "settled"

    def restart(self) -> None:
        """See `releases.Hands`."""
        self.restarts += 1


@dataclass
class Site:
    """A gateway that is started and stopped; each start opens the store that the last one left."""

    directory: Path
    door: Door
    trusts: bool = True
    """Whether gateway.toml names the brand's key."""
    store: Store = field(init=False)
    releases: Releases = field(init=False)
    hands: Hands = field(init=False)

    @property
    def config(self) -> Config:
        """As gateway.toml has it."""
        section = {"id": GATEWAY, "store": "plaza", "region": REGION, "data_dir": str(self.directory / "data")}
        keys = {"bundles": "bundle-keys.toml"} if self.trusts else {}
        return Config.model_validate({"gateway": section, "keys": keys, "directory": self.directory})

    @contextlib.asynccontextmanager
    async def started(self) -> AsyncIterator[Begun]:
        """One run of the daemon."""
        self.store = open_store(Settings(self.directory / "data", GATEWAY))
        self.releases = Releases(self.store, self.config, self.door)
        try:
            begun = await self.releases.begin()
            self.hands = Hands(begun.door)
            task = asyncio.create_task(self.releases.run(self.hands))
            yield begun
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Dead, StoreError):
                await task
        finally:
            self.releases.close()
            self.store.close()

    def put(self, kind: Kind, content: bytes, number: int = 1, target: str = "all", snapshot: int = 1) -> None:
        """A release has come down."""
        made = contract.release(kind, target, number, content)
        self.store.write(lambda tx: shelf.keep(tx, made, 0, snapshot)).result(20)
        self.releases.wake()

    def withdraw(self, kind: Kind, target: str = "all") -> None:
        """Its tombstone has come down."""
        self.store.write(lambda tx: shelf.withdraw(tx, kind, target)).result(20)
        self.releases.wake()

    async def told(self, state: str, number: int = 1) -> Report:
        """Wait until a release has come to this."""

        def found() -> Report | None:
            return next((one for one in self.releases.report() if (one.state, one.number) == (state, number)), None)

        await wait_until_async(lambda: found() is not None, 20, f"release {number} is {state}")
        await wait_until_async(lambda: self.releases.idle, 20, "and the daemon knows")
        report = found()
        assert report is not None
        return report

    async def all_used(self, count: int) -> None:
        """Wait until so many releases are used."""

        def used() -> bool:
            return [one.state in {"used", "on_trial"} for one in self.releases.report()] == [True] * count

        await wait_until_async(used, 20, f"{count} are used")
        await wait_until_async(lambda: self.releases.idle, 20, "and the daemon knows")

    async def settle_a_bundle(self) -> None:
        """Have a first bundle released, and pass its trial."""
        self.put("bundle", released(1))
        await self.told("on_trial")
        self.hands.judged = "settled"
        await self.told("used")

    async def nothing_told(self) -> None:
        """Wait until nothing that was released is used."""
        await wait_until_async(lambda: not self.releases.report(), 10, "nothing is used")


@pytest.fixture
def site(tmp_path: Path, door: Door) -> Site:
    """A gateway that has no release yet."""
    trust(tmp_path / "bundle-keys.toml")
    return Site(tmp_path, door)


@pytest.mark.parametrize(
    ("kind", "content", "version"),
    [
        ("catalogue", catalogue, lambda door: door.catalog.version),
        ("words", words, lambda door: door.words.version),
    ],
)
async def test_a_table_is_used_at_once_and_after_a_restart(
    site: Site, kind: Kind, content: Callable[[str], bytes], version: Callable[[Door], str]
) -> None:
    async with site.started():
        site.put(kind, content("v-2"))
        await site.told("used")
        await wait_until_async(lambda: version(site.hands.door) == "v-2", 10, "it is used")
        site.put(kind, content("v-3"), number=2)
        await site.told("used", 2)
        await wait_until_async(lambda: version(site.hands.door) == "v-3", 10, "it is used")
    async with site.started() as begun:
        assert version(begun.door) == "v-3"
        site.withdraw(kind)
        await site.nothing_told()
        await wait_until_async(lambda: site.hands.door == site.door, 10, "gateway.toml's is used")
    async with site.started() as begun:
        assert begun.door == site.door
    assert site.hands.restarts == 0


async def test_both_tables_are_used_together(site: Site) -> None:
    async with site.started():
        site.put("catalogue", catalogue("c-2"))
        site.put("words", words("w-2"))
        await site.all_used(2)
        assert (site.hands.door.catalog.version, site.hands.door.words.version) == ("c-2", "w-2")
        site.withdraw("words")
        await wait_until_async(lambda: site.hands.door.words == site.door.words, 10, "gateway.toml's is used")
        assert site.hands.door.catalog.version == "c-2"


async def test_the_nearest_target_counts(site: Site) -> None:
    async with site.started():
        site.put("catalogue", catalogue("everywhere"))
        site.put("catalogue", catalogue("here"), target=f"gateway/{GATEWAY}")
        site.put("catalogue", catalogue("in the south"), target=f"region/{REGION}")
        site.put("catalogue", catalogue("elsewhere"), target="region/north")
        for expected, target in (
            ("here", f"gateway/{GATEWAY}"),
            ("in the south", f"region/{REGION}"),
            ("everywhere", "all"),
        ):
            await wait_until_async(lambda v=expected: site.hands.door.catalog.version == v, 10, expected)  # type: ignore[misc]
            site.withdraw("catalogue", target)
        await wait_until_async(lambda: site.hands.door == site.door, 10, "gateway.toml's")


async def test_where_the_nearest_is_refused_the_next_nearest_counts(site: Site) -> None:
    near, region = f"gateway/{GATEWAY}", f"region/{REGION}"
    async with site.started():
        site.put("catalogue", catalogue("r-1"), 1, region)
        await site.told("used", 1)
        site.put("catalogue", b"{", 5, near)
        assert f"number 1 for {region}" in (await site.told("refused", 5)).detail
    async with site.started() as begun:
        assert begun.door.catalog.version == "r-1"
        site.put("catalogue", catalogue("r-2"), 2, region)
        await wait_until_async(lambda: site.hands.door.catalog.version == "r-2", 10, "the region's next one")
        site.withdraw("catalogue", region)
        await wait_until_async(lambda: site.hands.door == site.door, 10, "what was withdrawn is used no more")
        assert "what gateway.toml names" in (await site.told("refused", 5)).detail


async def test_what_a_refused_release_would_replace_stays(site: Site) -> None:
    async with site.started():
        site.put("catalogue", catalogue("c-1"), 1)
        await site.told("used", 1)
        site.put("catalogue", b"{", 2)
        assert "number 1 for all" in (await site.told("refused", 2)).detail
    async with site.started() as begun:
        assert begun.door.catalog.version == "c-1"
        await site.told("refused", 2)
        assert site.hands.door.catalog.version == "c-1"
        site.withdraw("catalogue")
        await wait_until_async(lambda: site.hands.door == site.door, 10, "gateway.toml's is used")


@pytest.mark.parametrize("noted", [False, True])
@pytest.mark.parametrize(
    ("kind", "contents"),
    [
        ("catalogue", (catalogue("v-1"), catalogue("v-2"))),
        ("bundle", (released(1), released(2))),
        ("configuration", (configuration(warmest_c=25), configuration(warmest_c=20))),
    ],
)
async def test_where_the_process_ends_midway_the_next_start_uses_the_old_one_or_the_new_one(
    site: Site, monkeypatch: pytest.MonkeyPatch, kind: Kind, contents: tuple[bytes, bytes], noted: bool
) -> None:
    async def die(self: Releases, work: Callable[[Transaction], T], *, upkeep: bool = True) -> T:
        if upkeep:
            return await write(self, work)
        if noted:
            await write(self, work)
        died.set()
        raise Dead

    async with site.started():
        site.put(kind, contents[0])
        await site.all_used(1)
    write, died = Releases._write, asyncio.Event()
    async with site.started():
        monkeypatch.setattr(Releases, "_write", die)
        site.put(kind, contents[1], 2)
        await asyncio.wait_for(died.wait(), 20)
    monkeypatch.setattr(Releases, "_write", write)
    async with site.started() as begun:
        used = 2 if noted else 1
        match kind:
            case "catalogue":
                assert begun.door.catalog.version == f"v-{used}"
            case "configuration":
                assert begun.config.samples.warmest_c == {1: 25, 2: 20}[used]
            case _:
                assert begun.bundles.now is not None
                assert begun.bundles.now.name[len("bundle-") :] == hashlib.sha256(contents[used - 1]).hexdigest()[:12]
        await site.told("used" if kind == "catalogue" else "on_trial", 2)


@pytest.mark.parametrize(
    ("kind", "content", "why"),
    [
        ("catalogue", b"{", "catalogue"),
        ("catalogue", catalogue("x").replace(b'"shu"', b'"heat"', 1), "catalogue"),
        ("words", b"[]", "word table"),
        ("bundle", b"PK", "no packed bundle"),
        ("configuration", b"[gateway]\nid = 'gw-2'", "gateway.id can't be released"),
        ("configuration", b"[samples]\nbudget_mib = 'all'", "samples.budget_mib"),
        ("configuration", b"[samples]\nwarmest_c = 3", "coldest_c"),
        ("configuration", b"samples = 3", "samples can't be released"),
        ("configuration", b"[gateway]", "gateway can't be released"),
        ("configuration", b"[nonsense]", "nonsense can't be released"),
        ("configuration", b"[", "configuration"),
    ],
)
async def test_what_can_not_be_used_is_refused_and_what_was_used_stays(
    site: Site, kind: Kind, content: bytes, why: str
) -> None:
    async with site.started():
        site.put(kind, content)
        report = await site.told("refused")
        assert why in report.detail
        assert "what gateway.toml names" in report.detail
        assert (site.hands.door, site.hands.bundles, site.hands.restarts) == (site.door, [], 0)
    async with site.started() as begun:
        assert (begun.config, begun.door, begun.bundles) == (site.config, site.door, PLAIN)
        await site.told("refused")


async def test_a_bundle_is_tried_and_used(site: Site) -> None:
    async with site.started():
        site.put("bundle", released())
        await site.told("on_trial")
        (bundles,) = site.hands.bundles
        assert bundles.now is not None
        assert load(bundles.now).manifest.sequence == 1
        assert bundles == Bundles(bundles.now, None, on_trial=True)
    async with site.started() as begun:
        assert begun.bundles == bundles
        site.withdraw("bundle")
        await site.nothing_told()
        assert site.hands.bundles == [PLAIN]
        assert not bundles.now.exists()


async def test_a_bundle_looks_on_before_it_is_used_and_keeps_nothing_else_waiting(site: Site) -> None:
    async with site.started():
        site.hands.how_far = ["it looks on: 3 of 50 slates", "it looks on: 20 of 50 slates"]
        site.put("bundle", released(1))
        assert (await site.told("waiting")).detail == "it looks on: 3 of 50 slates"
        site.put("words", words("w-2"))
        await wait_until_async(lambda: site.hands.door.words.version == "w-2", 10, "words don't wait for it")
        await wait_until_async(lambda: bool(site.hands.bundles), 20, "it has looked on for long enough")
        assert (await site.told("on_trial")).detail == ""
        assert site.hands.how_far == []


async def test_a_bundle_that_looked_on_badly_is_refused_for_good(site: Site) -> None:
    async with site.started():
        site.hands.how_far = ["it looks on: 3 of 50 slates", ModelError("it failed on 1 of 4 slates")]
        site.put("bundle", released(1))
        assert "it failed on 1 of 4 slates" in (await site.told("refused")).detail
        assert (site.hands.bundles, site.hands.looking_on) == ([], None)
        assert list((site.directory / "data" / "releases").iterdir()) == [], "it takes no room"
        site.put("bundle", released(2), 2)
        await site.told("on_trial", 2)


async def test_a_bundle_passes_its_trial(site: Site) -> None:
    async with site.started():
        await site.settle_a_bundle()
        now = site.hands.bundles[0].now
        await wait_until_async(lambda: site.hands.bundles[1:] == [Bundles(now)], 10, "nothing else is kept")
    async with site.started() as begun:
        assert begun.bundles == Bundles(now)


async def test_what_looks_on_does_so_until_it_is_withdrawn_whatever_becomes_of_the_one_in_use(site: Site) -> None:
    folder = site.directory / "data" / "releases"
    async with site.started():
        site.put("bundle", released(1))
        await site.told("on_trial")
        site.hands.how_far = ["it looks on: 3 of 50 slates"] * 1000
        site.put("bundle", released(2), 2)
        await site.told("waiting", 2)
        site.hands.judged = "it failed 3 of 3 answers"
        await wait_until_async(lambda: site.hands.bundles[1:] == [PLAIN], 10, "the first is taken back")
        await wait_until_async(lambda: len(site.hands.how_far) < 998, 10, "the other one is asked about again")
        assert (await site.told("waiting", 2)).detail == "it looks on: 3 of 50 slates"
        assert list(folder.iterdir()) == [site.hands.looking_on]
        site.withdraw("bundle")
        await wait_until_async(lambda: site.hands.looking_on is None, 10, "nothing looks on")
        assert list(folder.iterdir()) == []


async def test_a_bundle_that_does_no_good_is_taken_back_and_stays_so(site: Site) -> None:
    async with site.started():
        await site.settle_a_bundle()
        site.put("bundle", released(2), 2)
        await site.told("on_trial", 2)
        first, second = site.hands.bundles[0].now, site.hands.bundles[-1]
        assert second.now != second.before == first
        site.hands.judged = "9 of 20 ratings were 'too hot' (45 %, 9 % before)"
        refused = await site.told("refused", 2)
        assert "taken back: 9 of 20 ratings" in refused.detail
        assert "number 1 for all" in refused.detail
        await wait_until_async(lambda: site.hands.bundles[-1] == Bundles(first), 10, "the one before is used")
        assert second.now is not None
        assert not second.now.exists()
    async with site.started() as begun:
        assert begun.bundles == Bundles(first)
        await site.told("refused", 2)
        site.put("bundle", released(2), 3)
        again = (await site.told("refused", 3)).detail
        assert "its sequence 2 is not above 2" in again, "nor by another number"


async def test_a_person_takes_back_a_bundle_whatever_its_trial_says(site: Site) -> None:
    async with site.started():
        await site.settle_a_bundle()
        used = shelf.in_use(site.releases._reader, "bundle")
        assert used is not None
        assert used.starts is None
        other = replace(used, sha256="0" * 64)
        await asyncio.wait_for(site.releases.take_back_bundle(other, "by maria").wait(), 10)
        assert shelf.in_use(site.releases._reader, "bundle") == used, "another one was meant"
        await asyncio.wait_for(site.releases.take_back_bundle(used, "by maria").wait(), 10)
        assert (await site.told("refused", 1)).detail == ("taken back: by maria. Used instead: what gateway.toml names")
        assert site.hands.bundles[-1] == PLAIN
    async with site.started() as begun:
        assert begun.bundles == PLAIN


async def test_the_one_before_is_kept_over_a_restart(site: Site) -> None:
    async with site.started():
        await site.settle_a_bundle()
        site.put("bundle", released(2), 2)
        await site.told("on_trial", 2)
        bundles = site.hands.bundles[-1]
    async with site.started() as begun:
        assert begun.bundles == bundles
        assert bundles.before is not None
        assert bundles.before.exists()
        site.hands.judged = "it failed 3 of 3 answers"
        await site.told("refused", 2)
        assert site.hands.bundles[-1] == Bundles(bundles.before)


def _unmade(folder: Path) -> None:
    """A kill came before its name was there."""
    (path,) = folder.iterdir()
    path.rename(path.with_name(path.name + ".new"))
    (path.with_name(path.name + ".new") / MANIFEST_NAME).write_bytes(b"{")


def _damaged(folder: Path) -> None:
    (path,) = folder.iterdir()
    (path / MANIFEST_NAME).write_bytes(b"")


@pytest.mark.parametrize("harm", [_unmade, _damaged, shutil.rmtree])
async def test_a_bundles_directory_is_made_again_from_the_store(site: Site, harm: Callable[[Path], None]) -> None:
    async with site.started():
        site.put("bundle", released())
        await site.told("on_trial")
    folder = site.directory / "data" / "releases"
    harm(folder)
    (folder / "bundle-0123456789ab.new").mkdir(parents=True)  # what another kill left
    async with site.started() as begun:
        assert begun.bundles.now is not None
        assert load(begun.bundles.now).manifest.sequence == 1
        assert list(folder.iterdir()) == [begun.bundles.now]


async def test_a_bundle_whose_model_contradicts_its_manifest_is_refused(site: Site) -> None:
    weights = load(pretrained()).manifest.weights
    async with site.started():
        site.put("bundle", released(weights=(weights[0] + 1, *weights[1:])))
        assert "does not get its scores here" in (await site.told("refused")).detail
        assert site.hands.bundles == []


async def test_where_onnxruntime_does_not_work_numpy_tries_a_bundle(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.scorer.PROBE", ("-c", "import os; os.abort()"))
    weights = load(pretrained()).manifest.weights
    async with site.started():
        site.put("bundle", released(weights=(weights[0] + 1, *weights[1:])))
        assert "does not get its scores here" in (await site.told("refused")).detail
        site.put("bundle", released(), 2)
        await site.told("on_trial", 2)


def _altered(content: bytes) -> bytes:
    """Another model than the one that was signed, with the hash that it has."""
    files = unpack(content)
    manifest = json.loads(files[MANIFEST_NAME])
    manifest["created_by"] = "somebody else"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, file in (files | {MANIFEST_NAME: json.dumps(manifest).encode()}).items():
            archive.writestr(name, file)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (pack(load(pretrained())), "is not signed"),
        (_altered(released()), "not brand's signature of this manifest"),
    ],
    ids=["unsigned", "altered"],
)
async def test_only_what_a_trusted_signer_signed_is_used(site: Site, content: bytes, why: str) -> None:
    async with site.started():
        site.put("bundle", content)
        assert why in (await site.told("refused")).detail
        assert site.hands.bundles == []


async def test_without_trusted_signers_no_released_bundle_is_used(site: Site) -> None:
    site.trusts = False
    async with site.started():
        site.put("bundle", released())
        assert "trusts no signer" in (await site.told("refused")).detail


@pytest.mark.parametrize("trusted", [2, 1, 0])
async def test_what_a_signer_made_goes_with_the_trust_in_them(site: Site, trusted: int) -> None:
    """Bundle 2 is on trial, 1 was before it; the signers of so many are still trusted at the next start."""
    unsigned = pack(load(pretrained()))
    contents = released(1) if trusted == 2 else unsigned, released(2) if trusted else unsigned[:-1] + b"\0"

    def use(tx: Transaction) -> None:
        for number, content in enumerate(contents, 1):
            kept = shelf.Kept("bundle", "all", number, hashlib.sha256(content).hexdigest(), content, None)
            shelf.keep(tx, contract.release("bundle", "all", number, content), 0, 1)
            shelf.use(tx, kept, 0, on_trial=number == 2)

    async with site.started():
        pass
    with contextlib.closing(open_store(Settings(site.directory / "data", GATEWAY))) as store:
        store.write(use).result(20)
    async with site.started() as begun:
        assert begun.bundles.on_trial == (trusted > 0)
        places = [begun.bundles.now, begun.bundles.before]
        assert [place is not None for place in places] == [trusted > 0, trusted > 1]
        if not trusted:
            assert "is not signed" in (await site.told("refused", 2)).detail


async def test_an_old_bundle_does_not_come_back(site: Site) -> None:
    async with site.started():
        site.put("bundle", released(5))
        await site.told("on_trial")
        for number, sequence in ((2, 4), (3, 5)):
            site.put("bundle", released(sequence, created_by="another"), number)
            assert f"its sequence {sequence} is not above 5" in (await site.told("refused", number)).detail
        site.put("bundle", released(4), 1, target=f"gateway/{GATEWAY}")
        assert "its sequence 4 is not above 5" in (await site.told("refused")).detail, "not by another target either"
    async with site.started():
        site.put("bundle", released(6), 2, target=f"gateway/{GATEWAY}")
        await site.told("on_trial", 2)


async def test_where_a_nearer_bundle_is_withdrawn_the_one_for_all_is_used_again(site: Site) -> None:
    async with site.started():
        site.put("bundle", released(5))
        await site.told("on_trial")
        site.put("bundle", released(6), 7, target=f"gateway/{GATEWAY}")
        await site.told("on_trial", 7)
        site.withdraw("bundle", f"gateway/{GATEWAY}")
        await site.told("on_trial", 1)
        now = site.hands.bundles[-1].now
        assert now is not None
        assert load(now).manifest.sequence == 5


async def test_a_configuration_takes_a_restart_and_is_on_trial(site: Site) -> None:
    async with site.started() as begun:
        assert begun.config.samples.warmest_c == 30
        site.put("configuration", configuration(warmest_c=20))
        await site.told("on_trial")
        assert site.hands.restarts == 1
    async with site.started() as begun:
        assert begun.config.samples.warmest_c == 20
        assert begun.config.gateway == site.config.gateway
        await asyncio.sleep(0)
        assert site.hands.restarts == 0, "it is used already"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials that take a moment."""
    monkeypatch.setattr("gateway.releases.READY_S", 0.1)
    monkeypatch.setattr("gateway.releases.STEADY_S", 0.1)
    monkeypatch.setattr("gateway.releases.LOOK_S", 0.01)


async def _used_well(site: Site, number: int, **samples: int) -> None:
    """A configuration comes, is started with, and passes its trial."""
    async with site.started():
        site.put("configuration", configuration(**samples), number)
        await site.told("on_trial", number)
    async with site.started():
        await site.releases.watch_trial(lambda: True, site.hands)
        await site.told("used", number)
        assert site.hands.restarts == 0


@pytest.mark.usefixtures("hurried")
async def test_one_that_does_not_get_ready_is_taken_back_to_the_last_good_one(site: Site) -> None:
    await _used_well(site, 1, warmest_c=25)
    async with site.started():
        site.put("configuration", configuration(warmest_c=20), 2)
        await site.told("on_trial", 2)
    async with site.started() as begun:
        assert begun.config.samples.warmest_c == 20
        await site.releases.watch_trial(lambda: False, site.hands)
        report = await site.told("refused", 2)
        assert "taken back: it was not ready" in report.detail
        assert "number 1 for all" in report.detail
        assert site.hands.restarts == 1
    for _ in range(2):
        async with site.started() as begun:
            assert begun.config.samples.warmest_c == 25
            await site.told("refused", 2)
            assert site.hands.restarts == 0
    await _used_well(site, 3, warmest_c=22)


@pytest.mark.usefixtures("hurried")
async def test_one_that_does_not_stay_ready_is_taken_back(site: Site) -> None:
    async with site.started():
        site.put("configuration", configuration(warmest_c=20))
        await site.told("on_trial")
    looks: Iterator[bool] = iter([True, True, False])
    async with site.started():
        await site.releases.watch_trial(lambda: next(looks), site.hands)
        assert "did not stay ready" in (await site.told("refused")).detail
    async with site.started() as begun:
        assert begun.config == site.config


async def test_one_with_which_three_starts_die_is_taken_back(site: Site) -> None:
    async with site.started():
        site.put("configuration", configuration(warmest_c=20))
        await site.told("on_trial")
    for _ in range(shelf.MAX_STARTS):
        async with site.started() as begun:
            assert begun.config.samples.warmest_c == 20
    async with site.started() as begun:
        assert begun.config == site.config
        assert "not ready in 3 starts" in (await site.told("refused")).detail


@pytest.mark.usefixtures("hurried")
async def test_a_trial_upon_a_trial_goes_back_to_what_was_good_before_both(site: Site) -> None:
    await _used_well(site, 1, warmest_c=25)
    async with site.started():
        site.put("configuration", configuration(warmest_c=20), 2)
        await site.told("on_trial", 2)
        site.put("configuration", configuration(warmest_c=21), 3)
        await site.told("on_trial", 3)
    async with site.started():
        await site.releases.watch_trial(lambda: False, site.hands)
    async with site.started() as begun:
        assert begun.config.samples.warmest_c == 25


async def test_the_same_content_under_another_number_is_no_news(site: Site) -> None:
    async with site.started():
        site.put("configuration", configuration(warmest_c=20))
        await site.told("on_trial")
        site.put("configuration", configuration(warmest_c=20), 2, f"region/{REGION}")
        await site.told("on_trial", 2)
        assert site.hands.restarts == 1


@pytest.mark.usefixtures("hurried")
async def test_what_an_update_can_not_read_any_more_does_not_keep_it_from_starting(site: Site) -> None:
    """Neither what is on trial, nor what was used before it."""
    await _used_well(site, 1, warmest_c=25)
    async with site.started():
        site.put("catalogue", catalogue("c-2"), 2)
        site.put("configuration", configuration(warmest_c=20), 2)
        await site.all_used(2)
        site.store.write(lambda tx: tx.connection.execute("UPDATE applied SET content = x'5b'").rowcount).result(20)
    async with site.started() as begun:
        assert (begun.config, begun.door) == (site.config, site.door)


@pytest.mark.parametrize("kind", ["words", "configuration"])
async def test_content_that_nobody_foresaw_is_refused_and_holds_nothing_up(
    site: Site, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("dreamt of")

    async with site.started():
        site.put(kind, {"words": words("w-1"), "configuration": configuration(warmest_c=20)}[kind])
        await site.all_used(1)
    for parser in ("parse_words", "overlay"):
        monkeypatch.setattr(f"gateway.releases.{parser}", fail)
    async with site.started() as begun:
        assert (begun.config, begun.door) == (site.config, site.door)
        assert "dreamt of" in (await site.told("refused")).detail
        site.put("catalogue", catalogue("c-2"), 2)
        await site.told("used", 2)


async def test_what_the_machine_lacks_refuses_no_bundle_and_holds_up_no_other_kind(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with site.started():
        site.put("bundle", released())
        await site.told("on_trial")
    put = bundle_folder.put
    monkeypatch.setattr(bundle_folder, "put", no_room)
    monkeypatch.setattr("gateway.releases.KINDS", ("bundle", "words", "configuration"))
    async with site.started() as begun:
        assert begun.bundles == PLAIN
        site.put("configuration", configuration(warmest_c=20), 2)
        site.put("words", words("w-2"), 2)
        await wait_until_async(lambda: site.hands.door.words.version == "w-2", 10, "words don't wait for it")
        await wait_until_async(lambda: site.hands.restarts == 1, 10, "nor does the configuration")
        assert {report.kind: report.state for report in site.releases.report()}["bundle"] == "waiting"
    monkeypatch.setattr(bundle_folder, "put", put)
    async with site.started():
        await wait_until_async(lambda: len(site.hands.bundles) == 1, 20, "there is room again")
        assert {report.kind: report.state for report in site.releases.report()}["bundle"] == "on_trial"


async def test_on_a_full_store_what_is_withdrawn_goes_all_the_same(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(self: Releases, work: Callable[[Transaction], T], *, upkeep: bool = True) -> T:
        if not upkeep:
            raise StoreFull("no room")
        return await write(self, work)

    async with site.started():
        site.put("words", words("w-2"))
        await site.told("used")
    write = Releases._write
    monkeypatch.setattr(Releases, "_write", full)
    async with site.started():
        site.put("catalogue", catalogue("c-2"))
        site.withdraw("words")
        await wait_until_async(lambda: site.hands.door == site.door, 10, "gateway.toml's words are used")


async def test_a_snapshot_withdraws_what_it_does_not_name(site: Site) -> None:
    async with site.started():
        site.put("catalogue", catalogue("c-2"))
        site.put("words", words("w-2"), snapshot=2)
        await site.all_used(2)
        assert site.store.write(lambda tx: shelf.withdraw_unnamed(tx, 0, 2)).result(20) == 1
        site.releases.wake()
        await wait_until_async(lambda: site.hands.door.catalog is default_catalog(), 10, "gateway.toml's is used")
        assert site.hands.door.words.version == "w-2"


def test_a_release_says_what_it_is_and_lies_where_it_belongs() -> None:
    made = contract.release("words", "region/south", 3, b"x")
    record = publish(contract.key_of("words", "region/south"), made, "/cloud/test", "1", 0).value or b""
    assert contract.read_release("words/region/south", record) == made
    for key in ("words/region/north", "catalogue/region/south", "nonsense/all", "words/gateway/", "words/shop/a"):
        with pytest.raises(DataError):
            contract.read_release(key, record)
    with pytest.raises(DataError, match="damaged"):
        contract.read_release("words/region/south", record.replace(b'"eA=="', b'"eQ=="'))
    with pytest.raises(DataError, match="too many for a release"):
        contract.release("bundle", "all", 1, bytes(contract.MAX_CONTENT_BYTES + 1))
    largest = contract.release("bundle", "gateway/" + "g" * 32, 2**53 - 1, bytes(contract.MAX_CONTENT_BYTES))
    assert isinstance(contract.read_release("bundle/gateway/" + "g" * 32, _value(largest)), Release)


def _value(made: Release) -> bytes:
    return publish(contract.key_of(made.kind, made.target), made, "/cloud/" + "c" * 32, "9" * 32, 0).value or b""
