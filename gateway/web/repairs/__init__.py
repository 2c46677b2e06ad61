"""What is wrong with the gateway, its dispensers and its ways, each with what it costs and what mends it."""
