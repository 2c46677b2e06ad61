"""Backups: made of a running gateway, checked, put back in one step; and wiping. See docs/adr/0045."""
