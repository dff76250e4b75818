"""The limit under which both contenders work."""

PER_SECOND = 200
