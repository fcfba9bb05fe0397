"""What the stacks of the lab's clients are called, by the clients' folders."""

STACKS_OF_CLIENTS = {
    "python": "grpcio",
    "python-asyncio": "grpclib",
    "go": "grpc-go",
    "node": "grpc-js",
    "java": "grpc-java",
    "rust": "tonic",
    "cpp": "grpc-c++",
}
