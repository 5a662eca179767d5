"""What every service stands on: secrets, logs, HTTP, limits, database, bus, cache, telemetry. One client a module."""
