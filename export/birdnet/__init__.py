"""The BirdNET pack: its public network on the user's machine, and towers trained here into its space."""
