"""From a heat profile to a ranking: features, ranker, bundle; training and evaluation off the Pi."""
