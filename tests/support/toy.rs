//! The toy model: a seeded two-layer llama that answers nonsense through the code of a real model.

use std::path::PathBuf;
use std::sync::OnceLock;

use genome_kernels::llm::decoder::Family;
use genome_kernels::llm::decoder::toy::{Toy, write_gguf};
use sha2::{Digest, Sha256};

/// A model file with its checksum.
#[derive(Debug)]
pub(crate) struct ToyModel {
    /// The GGUF file.
    pub(crate) path: PathBuf,
    /// SHA-256 of it in hex digits.
    pub(crate) sha256: String,
}

/// The toy model, written once for all tests.
pub(crate) fn toy_model() -> &'static ToyModel {
    static MODEL: OnceLock<ToyModel> = OnceLock::new();
    MODEL.get_or_init(|| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("toy.gguf");
        write_gguf(&path, &Toy::new(Family::Llama, 7)).unwrap();
        let digest = Sha256::digest(std::fs::read(&path).unwrap());
        let sha256 = super::hex(&digest);
        ToyModel { path, sha256 }
    })
}
