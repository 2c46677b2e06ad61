"""Safe mode on the web: what is shown while the gateway can't run."""
