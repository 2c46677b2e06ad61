"""The local web: health, metrics, the API, and one live page."""
