"""The tables of the watchdog: alerts, and what drift is measured against."""
