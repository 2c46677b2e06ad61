"""The gateway itself on the web: what it tells of its machine, its log, support bundles, backups, wiping."""
