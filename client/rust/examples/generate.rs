//! Writes src/users.v1.rs anew: `cargo run --example generate`.
//!
//! From the descriptors that come with the .proto, so that neither this nor a build needs protoc.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let proto = here.join("../../proto");
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .file_descriptor_set_path(proto.join("users.binpb"))
        .skip_protoc_run()
        .out_dir(here.join("src"))
        .compile_protos(
            &["users/v1/users.proto"],
            &[proto.to_str().expect("a path in UTF-8")],
        )
}
