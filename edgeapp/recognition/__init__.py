"""The one way through: windows to vectors, and vectors to what is heard."""
