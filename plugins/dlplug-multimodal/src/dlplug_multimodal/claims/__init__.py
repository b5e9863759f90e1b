"""What the notes say of multimodal learning, measured."""
