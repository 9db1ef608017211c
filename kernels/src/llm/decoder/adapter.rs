//! Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) in the files of Hugging Face's PEFT.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::config::ModelConfig;
use super::names::Part;
use super::tensor_file::{self, Named};
use crate::KernelError;

const WEIGHTS_FILE: &str = "adapter_model.safetensors";
const CONFIG_FILE: &str = "adapter_config.json";

/// The two factors of one projection's addition `scale * B (A x)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    /// A, `[rank, inputs]`.
    pub down: Vec<f32>,
    /// B, `[outputs, rank]`, with the rows in the order of Hugging Face's models.
    pub up: Vec<f32>,
}

/// A low-rank adapter for some projections of every layer of a base model.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// Inner width of the factors.
    pub rank: usize,
    /// The addition is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Which projections are adapted.
    pub targets: Vec<Part>,
    /// Name of the base model, for people.
    pub base_model: String,
    /// BLAKE3 digest of the base model's file, in hexadecimal; empty if the adapter comes from elsewhere.
    pub base_digest: String,
    /// The factors by layer and projection.
    pub factors: BTreeMap<(usize, Part), Factors>,
}

#[expect(clippy::struct_excessive_bools, reason = "the file's own keys")]
#[derive(Serialize, Deserialize)]
struct ConfigFile {
    peft_type: String,
    task_type: Option<String>,
    base_model_name_or_path: Option<String>,
    #[serde(default)]
    base_model_digest: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    target_modules: Vec<Part>,
    bias: String,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    inference_mode: bool,
}

impl Adapter {
    /// The factor by which the addition is scaled.
    pub fn scale(&self) -> f32 {
        #[expect(clippy::cast_possible_truncation, reason = "a small ratio")]
        let scale = (self.alpha / self.rank as f64) as f32;
        scale
    }

    /// Writes `adapter_model.safetensors` and `adapter_config.json` into the existing folder `dir`.
    ///
    /// The folder is not written atomically: give a temporary one and rename it.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), KernelError> {
        let mut tensors = Named::new();
        for (&(layer, part), factors) in &self.factors {
            let (inputs, outputs) = (factors.down.len() / self.rank, factors.up.len() / self.rank);
            tensors.insert(tensor_name(layer, part, "A"), (vec![self.rank, inputs], factors.down.clone()));
            tensors.insert(tensor_name(layer, part, "B"), (vec![outputs, self.rank], factors.up.clone()));
        }
        tensor_file::save(&dir.join(WEIGHTS_FILE), &tensors)?;
        let config = ConfigFile {
            peft_type: "LORA".into(),
            task_type: Some("CAUSAL_LM".into()),
            base_model_name_or_path: Some(self.base_model.clone()),
            base_model_digest: self.base_digest.clone(),
            r: self.rank,
            lora_alpha: self.alpha,
            lora_dropout: 0.0,
            target_modules: self.targets.clone(),
            bias: "none".into(),
            fan_in_fan_out: false,
            use_rslora: false,
            use_dora: false,
            inference_mode: true,
        };
        let mut text = serde_json::to_string_pretty(&config)
            .map_err(|error| KernelError::Internal(error.to_string()))?;
        text.push('\n');
        tensor_file::write(&dir.join(CONFIG_FILE), text.as_bytes())
    }

    /// Reads the two files from `dir`.
    ///
    /// # Errors
    /// A file is missing or malformed, or the adapter is of a kind that is not supported.
    pub fn load(dir: &Path) -> Result<Self, KernelError> {
        let path = dir.join(CONFIG_FILE);
        let fail = |reason: String| KernelError::Model { path: path.clone(), reason };
        let text = std::fs::read_to_string(&path).map_err(|error| fail(error.to_string()))?;
        let config: ConfigFile = serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
        if config.peft_type != "LORA" || config.use_dora || config.use_rslora || config.fan_in_fan_out {
            return Err(fail(
                "only plain LoRA adapters are supported (no DoRA, rsLoRA or transposed weights)".into(),
            ));
        }
        if config.bias != "none" || config.r == 0 {
            return Err(fail(format!("bias `{}` with rank {} is not supported", config.bias, config.r)));
        }
        let mut tensors = tensor_file::load(&dir.join(WEIGHTS_FILE))?;
        let mut factors = BTreeMap::new();
        for layer in 0.. {
            let before = factors.len();
            for &part in &config.target_modules {
                let pair = (
                    tensors.remove(&tensor_name(layer, part, "A")),
                    tensors.remove(&tensor_name(layer, part, "B")),
                );
                let (Some((down_shape, down)), Some((up_shape, up))) = pair else { continue };
                if down_shape.first() != Some(&config.r) || up_shape.get(1) != Some(&config.r) {
                    return Err(fail(format!(
                        "layer {layer}, {}: shapes {down_shape:?} and {up_shape:?} do not have rank {}",
                        part.module(),
                        config.r
                    )));
                }
                factors.insert((layer, part), Factors { down, up });
            }
            if factors.len() == before {
                break;
            }
        }
        if let Some(name) = tensors.keys().next() {
            return Err(fail(format!(
                "the weights have a tensor {name} that the configuration does not explain"
            )));
        }
        Ok(Self {
            rank: config.r,
            alpha: config.lora_alpha,
            targets: config.target_modules,
            base_model: config.base_model_name_or_path.unwrap_or_default(),
            base_digest: config.base_model_digest,
            factors,
        })
    }

    /// Checks that every factor fits the model.
    pub(crate) fn check(&self, config: &ModelConfig) -> Result<(), KernelError> {
        for (&(layer, part), factors) in &self.factors {
            let (outputs, inputs) = part.shape(config);
            let fits = factors.down.len() == self.rank * inputs && factors.up.len() == self.rank * outputs;
            if layer >= config.layers || !fits {
                return Err(KernelError::Argument(format!(
                    "the adapter (base model {:?}) does not fit this model at layer {layer}, {}",
                    self.base_model,
                    part.module()
                )));
            }
        }
        Ok(())
    }
}

/// Reorders the rows of a matrix `[outputs, width]` from Hugging Face's order to the GGUF file's.
pub(crate) fn rows_to_gguf(config: &ModelConfig, part: Part, matrix: &[f32], width: usize) -> Vec<f32> {
    permute(config, part, matrix, width, |head, pair, side| {
        (head + 2 * pair + side, head + side * config.head_dim / 2 + pair)
    })
}

/// Reorders the rows of a matrix `[outputs, width]` from the GGUF file's order to Hugging Face's.
pub(crate) fn rows_from_gguf(config: &ModelConfig, part: Part, matrix: &[f32], width: usize) -> Vec<f32> {
    permute(config, part, matrix, width, |head, pair, side| {
        (head + side * config.head_dim / 2 + pair, head + 2 * pair + side)
    })
}

/// `rows(head start, pair, side)` names the target and the source row of one half of a rotary pair.
fn permute(
    config: &ModelConfig,
    part: Part,
    matrix: &[f32],
    width: usize,
    rows: impl Fn(usize, usize, usize) -> (usize, usize),
) -> Vec<f32> {
    let mut result = matrix.to_vec();
    if !config.family.rotates_neighbours() || !matches!(part, Part::Query | Part::Key) {
        return result;
    }
    for head in (0..matrix.len() / width).step_by(config.head_dim) {
        for (pair, side) in (0..config.head_dim / 2).flat_map(|pair| [(pair, 0), (pair, 1)]) {
            let (target, source) = rows(head, pair, side);
            result[target * width..(target + 1) * width]
                .copy_from_slice(&matrix[source * width..(source + 1) * width]);
        }
    }
    result
}

fn tensor_name(layer: usize, part: Part, factor: &str) -> String {
    format!("base_model.model.model.layers.{layer}.{}.lora_{factor}.weight", part.module())
}

#[cfg(test)]
mod tests {
    use super::super::{Family, toy::Toy};
    use super::*;

    fn sample() -> Adapter {
        let factors = |seed: usize| Factors {
            down: (0..4 * 6).map(|i| (i + seed) as f32).collect(),
            up: (0..10 * 4).map(|i| (i * seed) as f32 + 0.5).collect(),
        };
        Adapter {
            rank: 4,
            alpha: 8.0,
            targets: vec![Part::Query, Part::Down],
            base_model: "toy".into(),
            base_digest: "abc".into(),
            factors: [
                ((0, Part::Query), factors(1)),
                ((0, Part::Down), factors(2)),
                ((1, Part::Query), factors(3)),
            ]
            .into(),
        }
    }

    #[test]
    fn save_and_load_give_the_same_adapter_and_the_same_bytes() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let adapter = sample();
        adapter.save(dirs[0].path()).unwrap();
        let loaded = Adapter::load(dirs[0].path()).unwrap();
        assert_eq!(loaded, adapter);
        loaded.save(dirs[1].path()).unwrap();
        for file in [WEIGHTS_FILE, CONFIG_FILE] {
            assert_eq!(
                std::fs::read(dirs[0].path().join(file)).unwrap(),
                std::fs::read(dirs[1].path().join(file)).unwrap()
            );
        }
        let config = std::fs::read_to_string(dirs[0].path().join(CONFIG_FILE)).unwrap();
        assert!(config.contains("\"q_proj\"") && config.contains("\"lora_alpha\": 8.0"), "{config}");
        let tensors = tensor_file::load(&dirs[0].path().join(WEIGHTS_FILE)).unwrap();
        assert_eq!(tensors["base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight"].0, [10, 4]);
        assert_eq!(tensors["base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"].0, [4, 6]);
    }

    #[test]
    fn broken_folders_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Adapter::load(dir.path()).is_err());
        sample().save(dir.path()).unwrap();
        let weights = dir.path().join(WEIGHTS_FILE);
        let bytes = std::fs::read(&weights).unwrap();
        tensor_file::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
        assert!(Adapter::load(dir.path()).unwrap_err().to_string().contains("not a safetensors file"));
        tensor_file::write(&weights, &bytes).unwrap();
        let config = dir.path().join(CONFIG_FILE);
        let text = std::fs::read_to_string(&config).unwrap();
        for (from, to, expected) in [
            ("\"use_dora\": false", "\"use_dora\": true", "only plain LoRA"),
            ("\"r\": 4", "\"r\": 3", "do not have rank 3"),
            ("\"down_proj\"", "\"up_proj\"", "does not explain"),
            ("\"q_proj\"", "\"lm_head\"", "unknown variant"),
        ] {
            tensor_file::write(&config, text.replace(from, to).as_bytes()).unwrap();
            let message = Adapter::load(dir.path()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn row_orders_are_inverse_and_pair_the_halves_of_a_head() {
        let config = Toy::new(Family::Llama, 1).config();
        let rows: Vec<f32> = (0..config.query_width()).map(|row| row as f32).collect();
        let gguf = rows_to_gguf(&config, Part::Query, &rows, 1);
        let half = config.head_dim as f32 / 2.0;
        assert_eq!(gguf[..4], [0.0, half, 1.0, half + 1.0]);
        assert_eq!(rows_from_gguf(&config, Part::Query, &gguf, 1), rows);
        assert_eq!(rows_to_gguf(&config, Part::Value, &rows, 1), rows);
        let qwen = Toy::new(Family::Qwen2, 1).config();
        assert_eq!(rows_to_gguf(&qwen, Part::Query, &rows, 1), rows);
    }
}
