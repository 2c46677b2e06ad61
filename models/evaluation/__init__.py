"""How good are picks? Rankers beside what a shop would do without them, on the same visits. Never on a gateway."""
