"""What is wrong with a station, and what to do: checks that are right on a healthy machine first."""
