"""Shows, and proves, whether a gRPC client checks who it talks to."""
