"""Where descriptors come from: descriptor sets in files, .proto files, a server's reflection."""

from mitm.descriptors.files import load_descriptor_set

__all__ = ["load_descriptor_set"]
