"""The embedded stack (Postgres, NATS, Valkey, Ray) and the supervisor that keeps it up."""
