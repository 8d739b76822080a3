"""What the engine asks of the outside world: a few narrow Protocols that adapters fulfil."""
