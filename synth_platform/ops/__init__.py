"""What runs around the stages: the wiring they share, the guard, schedules and sweeps."""
