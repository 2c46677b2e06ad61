"""An ASK that waits for its PICKS: repeated until answered, given up when nobody would wait any longer. Pure."""

from __future__ import annotations

from firmware_bridge.messages import Ask, Picks

ASK_AGAIN_MS = 400
"""ms without PICKS after which the ASK is sent again: 20 times what an answer may take."""
ASK_GIVE_UP_MS = 3_000
"""ms; a customer does not look at a waiting screen for longer."""


class Question:
    """One question and its timers."""

    def __init__(self, ask: Ask, now_ms: int, slack_ms: int = 0) -> None:
        self._again_ms = ASK_AGAIN_MS + slack_ms
        self.next_ms = now_ms
        self.gives_up_ms = now_ms + ASK_GIVE_UP_MS
        self._ask = ask

    def is_answered_by(self, picks: Picks) -> bool:
        """Whether these picks are for this question, and not for an earlier customer's."""
        return picks.nonce == self._ask.nonce

    def next_ask(self, now_ms: int) -> Ask | None:
        """The ASK, if it is time to send it (again)."""
        if now_ms < self.next_ms:
            return None
        self.next_ms = now_ms + self._again_ms
        return self._ask
