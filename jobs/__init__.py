"""Entry points for `ray job submit`, thin, over one fan-out module."""
