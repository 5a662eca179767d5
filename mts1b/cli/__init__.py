"""The front door: `mts` and `mts1b-deploy`, on top of everything."""
