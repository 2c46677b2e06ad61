"""Dispensers <-> typed messages: framing, messages and link sessions (pure), serial and MQTT links (edges)."""
