"""Gates 1 to 6, one file each: `gate(command, context) -> Accepted | Refused`. Pure: they read, they change nothing."""
