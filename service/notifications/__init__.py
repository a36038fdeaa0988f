"""What agents told their owner with `services.notify`: to be read, and marked as read."""
