"""What every service stands on: database, event bus, cache, telemetry. One third-party client in each module."""
