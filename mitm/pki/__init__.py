"""From a recipe to a certificate chain with its key: the lab's PKI and the attacker's."""

from mitm.pki.authority import Authorities, Authority
from mitm.pki.chain import Chain
from mitm.pki.faulty_file import Fault, reads_everything, write_faulty
from mitm.pki.files import CLIENT_IDENTITY, write_chain, write_lab, write_private
from mitm.pki.forge import forge
from mitm.pki.identity import Identity, identity_of
from mitm.pki.loading import load_chain
from mitm.pki.own import (
    Leaf,
    certificates_from_file,
    chain_from_files,
    leaf_in,
    name_in,
    names_in,
)
from mitm.pki.own_authority import authority_from_files
from mitm.pki.presentation import Presentation, present
from mitm.pki.recipe import Recipe, Tls, load_recipe
from mitm.pki.trust_store import write_trust_store
from mitm.pki.unsupported import Unsupported

__all__ = [
    "CLIENT_IDENTITY",
    "Authorities",
    "Authority",
    "Chain",
    "Fault",
    "Identity",
    "Leaf",
    "Presentation",
    "Recipe",
    "Tls",
    "Unsupported",
    "authority_from_files",
    "certificates_from_file",
    "chain_from_files",
    "forge",
    "identity_of",
    "leaf_in",
    "load_chain",
    "load_recipe",
    "name_in",
    "names_in",
    "present",
    "reads_everything",
    "write_chain",
    "write_faulty",
    "write_lab",
    "write_private",
    "write_trust_store",
]
