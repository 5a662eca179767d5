"""From files as they are delivered to rows that may be stored, and offenders that are kept with their reason."""
