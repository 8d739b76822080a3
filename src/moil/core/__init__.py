"""The pure heart of Moil: records, events, commands and the state machine. Reads no clock, disk, thread or log."""
