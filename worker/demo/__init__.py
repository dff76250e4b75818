"""The demonstration: a sample, its faults, its story."""
