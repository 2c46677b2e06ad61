"""Tests of the way to Kafka and back."""
