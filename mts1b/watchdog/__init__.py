"""The watchdog: detectors that say how things are, the book of alerts that stand, and where they are sent."""
