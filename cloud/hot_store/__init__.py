"""Profiles, features and picks by subject, looked up in a millisecond: filled from Kafka, and lost without a loss."""
