"""A customer's own words after a pour -> the verdict that they are on it. In the writer's thread.

"My mouth was on fire, loved it" states no heat that somebody asks for; after a pour it is what a press of *just right*
would be. What does ask for a heat ("12k SHU", "something milder than hot") stays a stated preference.
"""

from __future__ import annotations

from firmware_bridge.bodies import EventBody, RatedBody, StatedBody
from gateway import sessions
from gateway.door import Door
from gateway.sessions import Session
from gateway.transaction import Transaction
from heat.door import verdict


def heard(tx: Transaction, body: EventBody, session: Session | None, door: Door) -> EventBody:
    """The body, or the verdict on the session's last pour that its text is."""
    if not isinstance(body, StatedBody) or body.text is None or session is None:
        return body
    said = door.listen(body.text)
    meant, sauce = verdict(said), sessions.last_pour(tx, session)
    if meant is None or sauce is None or (said.asked and said.wish != "right"):
        return body
    return RatedBody(sauce=sauce, verdict=meant)
