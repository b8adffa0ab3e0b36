"""The BirdNET pack: the public network from the user's machine, and text and image towers trained for its space."""
