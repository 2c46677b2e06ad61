"""The cloud half: Kafka -> profiles, features, lake, hot store, and down again to the gateways."""
