"""What every service stands on: secrets, logs, HTTP, limits, database, bus, cache, telemetry; a module for each client."""
