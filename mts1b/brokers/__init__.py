"""Venues: the port that the OMS speaks to, and one adapter a venue."""
