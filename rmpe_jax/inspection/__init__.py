"""What gradients do in the symmetric transformer: one model, one person, looked into."""
