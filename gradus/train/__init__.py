"""Training: learners, the one loop, optimisers and schedules, checkpoints, devices."""
