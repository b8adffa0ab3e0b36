"""One taxonomy for a collection: names as archives write them, and the backbone that knows which are accepted."""
