"""The hash chain: every link commits to its predecessor and to its own canonical content."""
