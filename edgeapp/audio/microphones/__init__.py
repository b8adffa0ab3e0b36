"""Microphones and sources in the network: what there is, the processes that record, and what is wrong with either.

A backend (`backends.py`) lists devices and says with what command they are recorded. A recorder is a child process, so
that a sound library that hangs can be killed with it; whoever shares the device shares the recorder.
"""
