"""What a training command does besides Lightning's own."""
