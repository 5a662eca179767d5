"""The order management system: the pure order machine and book, the journal, the service that joins them."""
