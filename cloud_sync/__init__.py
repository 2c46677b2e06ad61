"""The edge's contract with Kafka (topics, envelope, schemas) and its uplink."""
