"""Leader and worker: what carries out the core's commands, and what runs the user's code."""
