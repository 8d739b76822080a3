"""In the second directory only."""
