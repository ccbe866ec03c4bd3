"""What all hosted and self-hosted speech services share; the folder of each kind has its protocol."""
