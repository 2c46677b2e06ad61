"""The dispensers that CI can own: a pure twin, its firmware's side of the wire, ports, shoppers."""
