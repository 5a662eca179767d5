"""The trading actors: thin shells round plain classes. `wiring` is the only module that makes Ray actors of them."""
