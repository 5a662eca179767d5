"""`mts bench`: each benchmark shows equal results first, then times. Speed is claimed from here and nowhere else."""
