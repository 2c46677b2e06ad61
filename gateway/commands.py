"""Commands to dispensers: each is carried out once, or not at all, and what became of it is known, or told as unknown.

    enqueue -> on disk, queued -> on disk, sent -> COMMAND, again every second -> RESULT -> on disk, ended

It is one task's work, a dispenser's orders one after the other. That an order was sent is on disk before the first copy
leaves, and its end before anybody is told: so a daemon that is killed anywhere goes on with the same id, and the
dispenser answers an id that it knows from its log. What was never sent is dropped when its time is over; what was sent
is asked after until the dispenser says what became of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import msgspec

from firmware_bridge.codec import body_map, encode_body
from firmware_bridge.framing import MAX_FRAME_BYTES
from firmware_bridge.messages import Result
from firmware_bridge.verbs import AnyArguments
from gateway import orders
from gateway.clock import Clock, Now
from gateway.order_queue import GREETED_MS, PACE, Queue, Reach, greet, may_begin, rest_ms
from gateway.orders import COPY_MS, CORRECTED, FORGOTTEN, LOG_SIZE, Order, State
from gateway.store import Store
from heat.errors import PicanteError, StoreError
from heat.identity import SAFE_INTEGER

log = logging.getLogger("gateway.commands")

MAX_BODY_BYTES = MAX_FRAME_BYTES - 6
"""Bytes of a COMMAND's body: a frame has version, type and CRC besides."""
EVERY_S = 1.0
"""s between two copies of a command, and between two looks at the time."""
QUEUE = 32
"""Orders of one dispenser that may be open."""
LONGEST_S = 7 * 86_400
"""s that an order may wait for its dispenser."""
QUESTIONS = 30
"""Times that a dispenser is asked what became of an order whose time is over: one that never says is let be."""


class CommandRefused(PicanteError):
    """The gateway does not take this command."""


class IdTaken(CommandRefused):
    """Another command has this id."""


class Commands:
    """The orders of all dispensers. Everything here belongs to the event loop's thread."""

    def __init__(self, store: Store, clock: Clock, boot: int) -> None:
        self.ended: Counter[str] = Counter()
        """Orders that ended since the start, by state."""
        self.unhappy: dict[str, Order] = {}
        """By dispenser: the last one that ended, where it failed, was cut off, or its end is not known."""
        self.done: Callable[[Order], None] = lambda _order: None
        """Called of each order that was done."""
        self._store = store
        self._clock = clock
        self._boot = boot
        self._queues: dict[str, Queue] = {}
        self._results: dict[str, Result] = {}
        """What dispensers said of open orders, by id."""
        self._strays: deque[tuple[str, Result]] = deque(maxlen=QUEUE)
        """What they said of others."""
        self._giving = asyncio.Lock()
        self._wake = asyncio.Event()
        with contextlib.closing(store.reader()) as reader:
            for order in orders.waiting(reader):
                if order.dispenser not in self._queues:
                    ends = deque(orders.ends(reader, order.dispenser, boot), maxlen=LOG_SIZE - 1)
                    self._queues[order.dispenser] = Queue(deque(), ends)
                self._queues[order.dispenser].orders.append(order)

    # -- asked for --------------------------------------------------------------------------------------------------

    async def enqueue(
        self,
        dispenser: str,
        arguments: AnyArguments,
        expires_in_s: float,
        *,
        asked_by: str,
        command_id: bytes | None = None,
    ) -> Order:
        """Take a command; it is on disk when this returns. With an id that is known, for the same, that one returns.

        Raises:
            IdTaken: the id is another command's.
            CommandRefused: too many wait already, the time is not one, or it does not fit into a frame.
            StoreError: it can't be stored.
        """
        if not 0 < expires_in_s <= LONGEST_S:
            raise CommandRefused(f"a command is good for 1 s to {LONGEST_S} s", hint="Give another expires_in_s")
        new_id = secrets.token_bytes(16) if command_id is None else command_id
        order = self._new(new_id, dispenser, arguments, asked_by, round(expires_in_s * 1000))
        if (size := len(encode_body(order.command(2**32 - 1, SAFE_INTEGER)))) > MAX_BODY_BYTES:
            hint = f"{MAX_BODY_BYTES} bytes fit into a frame: tell it less at once"
            raise CommandRefused(f"this command takes {size} bytes", hint=hint)
        async with self._giving:
            with contextlib.closing(self._store.reader()) as reader:
                known = orders.find(reader, order.id)
                ends = deque(orders.ends(reader, dispenser, self._boot), maxlen=LOG_SIZE - 1)
            if known is not None:
                if (known.dispenser, known.verb, known.arguments) != (dispenser, order.verb, order.arguments):
                    raise IdTaken(f"{order.id} is the id of another command", hint="Give each command an id of its own")
                return known
            queue = self._queues.get(dispenser) or Queue(deque(), ends)
            if len(queue.orders) >= QUEUE:
                hint = "Wait until it has taken some; what it does not take is dropped when its time is over"
                raise CommandRefused(f"{QUEUE} commands wait for {dispenser} already", hint=hint)
            await asyncio.wrap_future(self._store.write(partial(orders.insert, order=order)))
            self._queues.setdefault(dispenser, queue).orders.append(order)
        log.info("%s for %s", order.verb, dispenser, extra={"dispenser": dispenser, "command": order.id})
        self._wake.set()
        return order

    def _new(self, command_id: bytes, dispenser: str, arguments: AnyArguments, asked_by: str, for_ms: int) -> Order:
        now = self._clock.now()
        return Order(
            id=command_id.hex(),
            dispenser=dispenser,
            verb=arguments.verb,
            arguments=msgspec.msgpack.encode(body_map(arguments)),
            asked_by=asked_by,
            created_ms=now.wall_ms,
            lifetime_ms=for_ms,
            expires_ms=now.wall_ms + for_ms if now.known else None,
            expires_boot=self._boot,
            expires_boot_ms=now.boot_ms + for_ms,
        )

    @property
    def open(self) -> Counter[State]:
        """The orders that have not ended, by state."""
        return Counter(order.state for queue in self._queues.values() for order in queue.orders)

    def unanswered(self) -> list[Order]:
        """The orders whose time is over, and of which their dispensers have not said what became of them."""
        return [order for queue in self._queues.values() for order in queue.orders if order.state == "unknown"]

    def waits(self, dispenser: str, command_id: bytes) -> bool:
        """Whether this command has not ended."""
        queue = self._queues.get(dispenser)
        return queue is not None and any(order.id == command_id.hex() for order in queue.orders)

    def rest_s(self, order: Order) -> int:
        """About how long an order that is queued has to wait for its dispenser's pace, s."""
        queue = self._queues.get(order.dispenser)
        places = [] if queue is None else [place for place, each in enumerate(queue.orders) if each.id == order.id]
        return -(-rest_ms(queue, self._clock.now(), places[0]) // 1000) if queue is not None and places else 0

    async def drop(self, dispenser: str) -> None:
        """Forget a dispenser: it may be another one when it is adopted anew. Raises StoreError.

        What waits for it ends, and what was measured at its meters counts no more.
        """
        if (queue := self._queues.get(dispenser)) is not None:
            queue.dropping = True
            self._wake.set()
        await asyncio.wrap_future(self._store.write(partial(orders.forget, dispenser=dispenser), upkeep=True))

    # -- told by links ----------------------------------------------------------------------------------------------

    def resulted(self, dispenser: str, result: Result) -> None:
        """Take what a dispenser says of a command."""
        queue = self._queues.get(dispenser)
        if queue is not None and any(order.id == result.command.hex() for order in queue.orders):
            self._results[result.command.hex()] = result
        elif result.outcome not in ("running", "expired"):
            self._strays.append((dispenser, result))
        self._wake.set()

    def opened(self, dispenser: str) -> None:
        """A dispenser is there (again): what waits for it, or was under way, goes at once."""
        if (queue := self._queues.get(dispenser)) is not None:
            queue.copied_ms, queue.questions = None, 0
            self._wake.set()

    # -- the task ---------------------------------------------------------------------------------------------------

    async def run(self, reach: Callable[[str], Reach | None]) -> None:
        """Serve all dispensers until cancelled. `reach` gives the open link to one."""
        while True:
            self._wake.clear()
            with contextlib.suppress(StoreError):  # full: tried again in a second; broken: the daemon ends
                await self.look(reach)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), EVERY_S)

    async def look(self, reach: Callable[[str], Reach | None]) -> None:
        """Do what is due now, for every dispenser.

        Raises:
            StoreError: something could not be stored; it is due again.
        """
        await self._set_right()
        for dispenser in list(self._queues):
            await self._serve(dispenser, reach)

    async def _serve(self, dispenser: str, reach: Callable[[str], Reach | None]) -> None:
        queue = self._queues[dispenser]
        await self._drop(queue, reach(dispenser))
        while queue.orders:
            order = queue.orders[0]
            if (result := self._results.pop(order.id, None)) is not None:
                await self._take(queue, order, result, reach(dispenser))
            elif not await self._advance(queue, order, reach):
                return
        del self._queues[dispenser]

    async def _drop(self, queue: Queue, way: Reach | None) -> None:
        for place, order in enumerate(list(queue.orders)):
            left_ms = order.left_ms(self._clock.now(), self._boot)
            if queue.dropping:
                state: State = "dropped" if order.state == "queued" else "unknown"
                await self._end(queue, order, state, FORGOTTEN)
            elif order.state == "queued" and left_ms is not None and left_ms <= 0:
                why = "the dispenser was away"
                if way is not None:
                    why = PACE if rest_ms(queue, self._clock.now(), place) else "others were before it"
                await self._end(queue, order, "dropped", f"its time was over before it could be sent: {why}")
        queue.dropping = False

    async def _advance(self, queue: Queue, order: Order, reach: Callable[[str], Reach | None]) -> bool:
        """Do what is due for the first order; whether that changed it."""
        now, way = self._clock.now(), reach(order.dispenser)
        left_ms = order.left_ms(now, self._boot)
        over = left_ms is not None and left_ms <= 0
        if over and (order.state == "sent" or (order.state == "running" and way is None)):
            why = "its time is over, and the dispenser has not said what became of it; it is asked once it is there"
            await self._keep(queue, order, replace(order, state="unknown", detail=why))
            return True
        if way is None or (left_ms is None and order.state == "queued"):
            return False
        if way.link.session.version < 2:
            why = f"{order.dispenser} speaks version 1 of the protocol, which has no commands: update its firmware"
            await self._end(queue, order, "unsupported" if order.state == "queued" else "unknown", why)
            return True
        if now.boot_ms - way.opened_boot_ms > GREETED_MS:
            greet(queue, way, now)
            return False
        if order.device_boot != way.hello.boot and (order.state == "queued" or (left_ms or 0) > 0):
            if order.state == "queued" and rest_ms(queue, now):
                return False
            expires_ms = way.uptime_ms(now) + (left_ms or 0)
            sent = replace(order, state="sent", device_boot=way.hello.boot, device_expires_ms=expires_ms)
            await self._keep(queue, order, sent)  # before the first copy leaves
            return True
        return await self._copy(queue, order, way, now, over=over)

    async def _copy(self, queue: Queue, order: Order, way: Reach, now: Now, *, over: bool) -> bool:
        """Send a copy, if one is due; whether that ended the order."""
        if queue.copied_ms is not None and now.boot_ms - queue.copied_ms < EVERY_S * 1000:
            return False
        if over:
            queue.questions += 1
            if queue.questions > QUESTIONS:
                await self._end(queue, order, "unknown", f"asked {QUESTIONS} times, the dispenser did not say")
                return True
        expires_ms = 0
        if order.device_boot == way.hello.boot and order.device_expires_ms is not None:
            expires_ms = min(order.device_expires_ms, way.uptime_ms(now) + COPY_MS)
        queue.copied_ms = now.boot_ms
        way.link.command(order.command(way.hello.boot, expires_ms))
        return False

    async def _take(self, queue: Queue, order: Order, result: Result, way: Reach | None) -> None:
        now = self._clock.now()
        if result.outcome == "running":
            queue.questions = 0
            if (order.state, order.detail) != ("running", result.detail):
                await self._keep(queue, order, order.with_result(result))
            return
        if result.outcome == "expired" and (way is None or may_begin(order, way, now)):
            if way is not None:
                greet(queue, way, now)  # one copy was late, the next need not be; perhaps its clock is ahead of ours
            return
        told = order.with_result(result)
        await self._end(queue, order, told.state, told.detail, told.measured)

    async def _set_right(self) -> None:
        """Take what dispensers said of orders that had been given up."""
        while self._strays:
            dispenser, result = self._strays[0]
            with contextlib.closing(self._store.reader()) as reader:
                order = orders.find(reader, result.command.hex())
            if order is not None and order.dispenser == dispenser and order.state in CORRECTED:
                now = self._clock.now()
                told = order.with_result(result).ended(now, self._boot)
                if order.detail == FORGOTTEN:
                    told = replace(told, detail=FORGOTTEN, measured=None)
                await asyncio.wrap_future(self._store.write(partial(orders.update, order=told, now=now), upkeep=True))
            self._strays.popleft()

    # -- changes of an order ----------------------------------------------------------------------------------------

    async def _end(self, queue: Queue, order: Order, state: State, detail: str, measured: str | None = None) -> None:
        now = self._clock.now()
        ended = replace(order, state=state, detail=detail, measured=measured).ended(now, self._boot)
        await asyncio.wrap_future(self._store.write(partial(orders.update, order=ended, now=now), upkeep=True))
        if queue.orders[0] is order:
            queue.copied_ms, queue.questions = None, 0
        queue.orders.remove(order)
        if ended.device_boot is not None:
            queue.ends.append(now.boot_ms)
        self._results.pop(order.id, None)
        self.ended[state] += 1
        self.unhappy.pop(order.dispenser, None)
        if state in ("failed", "interrupted", "unknown") and not queue.dropping:
            self.unhappy[order.dispenser] = ended
        about = {"dispenser": order.dispenser, "command": order.id}
        if state == "done":
            self.done(ended)
        log.info("%s for %s: %s", order.verb, order.dispenser, f"{state} {detail}".strip(), extra=about)

    async def _keep(self, queue: Queue, order: Order, changed: Order) -> None:
        now = self._clock.now()
        await asyncio.wrap_future(self._store.write(partial(orders.update, order=changed, now=now), upkeep=True))
        queue.orders[queue.orders.index(order)] = changed
