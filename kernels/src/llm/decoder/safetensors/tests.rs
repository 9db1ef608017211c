//! Toy models as they would be published, against their GGUF files.

use super::super::adapter::rows_from_gguf;
use super::super::candle::CandleDecoder;
use super::super::names::{bias_name, weight_name};
use super::super::rope::Rope;
use super::super::tensor_file::{Named, save, write};
use super::super::toy::{Toy, write_gguf};
use super::super::weights::ModelFiles;
use super::super::{Decoder, Logits, StepRow};
use super::*;
use crate::llm::device::DeviceKind;
use crate::llm::gguf::GgufFile;

/// The toy as Hugging Face would publish it: weights and `config.json` in a folder.
fn publish(folder: &Path, toy: &Toy) -> ModelFiles {
    let gguf = folder.join("toy.gguf");
    write_gguf(&gguf, toy).unwrap();
    let file = GgufFile::open(&gguf).unwrap();
    let config = toy.config();
    let mut tensors = Named::new();
    let mut add = |name: &str, shape: &[usize]| {
        let values = file.tensor(name, shape, &Device::Cpu).unwrap().dequantize(&Device::Cpu).unwrap();
        let mut values: Vec<f32> = values.flatten_all().unwrap().to_vec1().unwrap();
        let (published, part) = published(name, toy.family).unwrap();
        if let Some(part) = part {
            values = rows_from_gguf(&config, part, &values, shape.get(1).copied().unwrap_or(1));
        } else if shape.len() == 1 && toy.family == Family::Gemma3 {
            for value in &mut values {
                *value -= 1.0;
            }
        }
        tensors.insert(published, (shape.to_vec(), values));
    };
    add("token_embd.weight", &[config.vocab_size, config.hidden]);
    if !config.tied_head {
        add("output.weight", &[config.vocab_size, config.hidden]);
    }
    add("output_norm.weight", &[config.hidden]);
    for layer in 0..config.layers {
        for part in Part::ALL {
            let (outputs, inputs) = part.shape(&config);
            add(&weight_name(layer, part), &[outputs, inputs]);
            if let Some(name) = bias_name(&config, layer, part) {
                add(&name, &[outputs]);
            }
        }
        super::super::names::Norms::load(&config, layer, |name, width| {
            add(name, &[width]);
            Ok::<(), KernelError>(())
        })
        .unwrap();
    }
    let files = ModelFiles {
        weights: folder.join("model.safetensors"),
        tokenizer: None,
        config: Some(folder.join("config.json")),
        chat: None,
    };
    save(&files.weights, &tensors).unwrap();
    let model_type = if toy.family == Family::Gemma3 { "gemma3_text" } else { toy.family.architecture() };
    let json = json!({
        "model_type": model_type, "vocab_size": config.vocab_size, "hidden_size": config.hidden,
        "intermediate_size": config.feed_forward, "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads, "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim, "max_position_embeddings": config.context_length,
        "rope_theta": config.rope_base, "rms_norm_eps": config.rms_epsilon,
        "sliding_window": config.local.map(|local| local.window),
        "query_pre_attn_scalar": config.head_dim,
    });
    write(&folder.join("config.json"), json.to_string().as_bytes()).unwrap();
    files
}

fn logits(files: &ModelFiles) -> Vec<Vec<f32>> {
    logits_of(&mut CandleDecoder::load(files, DeviceKind::Cpu).unwrap())
}

fn logits_of(decoder: &mut CandleDecoder) -> Vec<Vec<f32>> {
    let sequence = decoder.open(None).unwrap();
    let tokens = (0..60_u32).map(|n| n * 7 % 250).collect();
    decoder.step(&[StepRow { sequence, tokens, logits: Logits::All }]).unwrap()
}

#[test]
fn published_weights_are_the_model_of_the_gguf_file() {
    for family in Family::ALL {
        let folder = tempfile::tempdir().unwrap();
        let toy = Toy::new(family, 4);
        let files = publish(folder.path(), &toy);
        let (_, config) = SafetensorsFile::open(&files.weights, &folder.path().join("config.json")).unwrap();
        assert_eq!(config, toy.config());
        let (got, want) = (logits(&files), logits(&ModelFiles::gguf(folder.path().join("toy.gguf"))));
        for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
            // Gemma's norms are off by a rounding of 1 + w - 1.
            assert!((got - want).abs() <= 1e-4 * want.abs().max(1.0), "{family:?}: {got} against {want}");
        }
        if family != Family::Gemma3 {
            assert_eq!(got, want, "{family:?}");
        }
    }
}

#[test]
fn short_floats_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let files = publish(folder.path(), &Toy::new(Family::Llama, 4));
    let whole = logits(&files);
    let tensors = candle_core::safetensors::load(&files.weights, &Device::Cpu).unwrap();
    for kind in [DType::F16, DType::BF16] {
        let short = |(name, tensor): (&String, &Tensor)| (name.clone(), tensor.to_dtype(kind).unwrap());
        let short: HashMap<String, Tensor> = tensors.iter().map(short).collect();
        candle_core::safetensors::save(&short, &files.weights).unwrap();
        let (mut most, mut range) = (0.0_f32, 0.0_f32);
        for (got, want) in logits(&files).iter().flatten().zip(whole.iter().flatten()) {
            most = most.max((got - want).abs());
            range = range.max(want.abs());
        }
        assert!(most > 0.0 && most < 0.1 * range, "{kind:?}: {most} off, of at most {range}");
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let files = publish(folder.path(), &Toy::new(Family::Llama, 4));
    let bytes = std::fs::read(&files.weights).unwrap();
    let error = |files: &ModelFiles| CandleDecoder::load(files, DeviceKind::Cpu).unwrap_err().to_string();
    write(&files.weights, &bytes[..bytes.len() - 1]).unwrap();
    assert!(error(&files).contains("cut off"));
    write(&files.weights, b"no such file").unwrap();
    assert!(error(&files).contains("not a safetensors file"));
    write(&files.weights, &bytes).unwrap();
    let alone = ModelFiles { config: None, ..files.clone() };
    assert!(error(&alone).contains("config.json"));
    let config = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    for (from, to, says) in [
        ("\"llama\"", "\"phi\"", "`phi` is not supported"),
        ("\"num_attention_heads\":4", "\"num_attention_heads\":3", "impossible numbers"),
        ("\"hidden_size\":64", "\"hidden_size\":32", "has shape"),
        ("\"rope_theta\"", "\"rope_parameters\":{},\"x\"", "`rope_parameters`"),
        ("\"query_pre_attn_scalar\":16", "\"query_pre_attn_scalar\":0", "a width of 0"),
        ("\"rope_theta\"", "\"rope_scaling\":{\"type\":\"yarn\"},\"rope_theta\"", "`yarn` is not supported"),
        ("\"rope_theta\"", "\"rope_scaling\":{\"type\":\"linear\"},\"rope_theta\"", "scaling by 0"),
    ] {
        write(&folder.path().join("config.json"), config.replace(from, to).as_bytes()).unwrap();
        let said = error(&files);
        assert!(said.contains(says), "{said}");
    }
    let windowed =
        config.replace("\"llama\"", "\"mistral\"").replace("\"sliding_window\":null", "\"sliding_window\":8");
    write(&folder.path().join("config.json"), windowed.as_bytes()).unwrap();
    assert!(error(&files).contains("sliding window"));
}

#[test]
fn factors_of_llama3_are_those_of_its_files() {
    // Of Llama 3.2 1B: its GGUF file has 1 for the first 15 of 32 pairs, 32 for the last 15 or so.
    let config = ModelConfig { head_dim: 64, rope_base: 500_000.0, ..Toy::new(Family::Llama, 1).config() };
    let scaling = RopeScaling {
        rope_type: Some("llama3".into()),
        older_type: None,
        factor: 32.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192.0,
    };
    let factors = llama3_factors(&config, &scaling);
    assert_eq!((factors[0], factors[31], factors.len()), (1.0, 32.0, 32));
    assert!(factors.windows(2).all(|pair| pair[0] <= pair[1]), "{factors:?}");
}

/// Changes the published `config.json`.
fn change_config(folder: &Path, change: impl FnOnce(&mut Value)) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    write(&path, config.to_string().as_bytes()).unwrap();
}

/// Makes other tensors of the published ones, by their names.
fn change_weights(files: &ModelFiles, change: impl Fn(String, Tensor) -> (String, Tensor)) {
    let tensors = candle_core::safetensors::load(&files.weights, &Device::Cpu).unwrap();
    let tensors: HashMap<String, Tensor> =
        tensors.into_iter().map(|(name, tensor)| change(name, tensor)).collect();
    candle_core::safetensors::save(&tensors, &files.weights).unwrap();
}

/// The largest difference, against the largest value.
fn distance(left: &[Vec<f32>], right: &[Vec<f32>]) -> f32 {
    let pairs = left.iter().flatten().zip(right.iter().flatten());
    let most = pairs.map(|(left, right)| (left - right).abs()).fold(0.0, f32::max);
    most / right.iter().flatten().fold(0.0_f32, |most, value| most.max(value.abs()))
}

#[test]
fn the_text_of_a_model_that_sees_images_is_read() {
    for prefix in ["language_model.model.", "model.language_model."] {
        let folder = tempfile::tempdir().unwrap();
        let files = publish(folder.path(), &Toy::new(Family::Gemma3, 4));
        let alone = logits(&files);
        change_weights(&files, |name, tensor| (name.replacen("model.", prefix, 1), tensor));
        change_config(folder.path(), |config| {
            *config = json!({"model_type": "gemma3", "text_config": config.take(), "vision_config": {}});
        });
        assert_eq!(logits(&files), alone, "{prefix}");
    }
}

#[test]
fn rotary_numbers_are_read_where_newer_files_have_them() {
    let scaling = json!({"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192});
    let with_base = |mut numbers: Value, base: f64| {
        numbers["rope_theta"] = json!(base);
        numbers
    };
    let plain = json!({"rope_type": "default"});
    let linear = json!({"rope_type": "linear", "factor": 8.0});
    let cases = [
        (
            Family::Llama,
            json!({"rope_theta": 500_000.0, "rope_scaling": scaling}),
            with_base(scaling.clone(), 500_000.0),
        ),
        (Family::Qwen3, json!({"rope_theta": 1e6}), with_base(plain.clone(), 1e6)),
        (Family::Qwen2, json!({"rope_theta": 1e6}), json!({"rope_theta": 1e6})),
        (
            Family::Gemma3,
            json!({"rope_theta": 2e6, "rope_local_base_freq": 20_000.0, "rope_scaling": linear}),
            json!({"full_attention": with_base(linear.clone(), 2e6), "sliding_attention": with_base(plain, 20_000.0)}),
        ),
    ];
    for (family, older, newer) in cases {
        let folder = tempfile::tempdir().unwrap();
        publish(folder.path(), &Toy::new(family, 4));
        let path = folder.path().join("config.json");
        let mut read = Vec::new();
        for numbers in [older, json!({ "rope_parameters": newer })] {
            change_config(folder.path(), |config| {
                let config = config.as_object_mut().unwrap();
                config.retain(|name, _| !name.starts_with("rope_"));
                config.extend(numbers.as_object().unwrap().clone());
            });
            read.push(read_config(&path).unwrap());
        }
        assert_eq!(read[0], read[1], "{family:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), &Toy::new(Family::Gemma3, 4));
    let path = folder.path().join("config.json");
    let alone = read_config(&path).unwrap();
    change_config(folder.path(), |config| config["rope_parameters"] = json!({"rope_type": "default"}));
    assert_eq!(read_config(&path).unwrap(), alone);
    for kind in ["rope_type", "type"] {
        change_config(folder.path(), |config| {
            config["rope_parameters"] = json!({"full_attention": {"rope_theta": 1e6},
                "sliding_attention": {"rope_theta": 1e4, kind: "linear", "factor": 2.0}});
        });
        let said = read_config(&path).unwrap_err().to_string();
        assert!(said.contains("`rope_parameters`"), "{said}");
    }
}

#[test]
fn what_gemma_leaves_out_is_as_usual() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    // As published, without what sees images: of 4B and of 27B.
    let small = json!({
        "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
    });
    let large = json!({
        "head_dim": 128, "hidden_size": 5376, "intermediate_size": 21504, "model_type": "gemma3_text",
        "num_attention_heads": 32, "num_hidden_layers": 62, "num_key_value_heads": 16,
        "query_pre_attn_scalar": 168, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    });
    let expected = ModelConfig {
        family: Family::Gemma3,
        vocab_size: 262_208,
        hidden: 2560,
        feed_forward: 10_240,
        layers: 34,
        heads: 8,
        kv_heads: 4,
        head_dim: 256,
        attention_width: None,
        context_length: 131_072,
        rope_base: 1e6,
        local: Some(LocalLayers { window: 1024, period: 6, rope_base: 1e4 }),
        rms_epsilon: 1e-6,
        tied_head: true,
    };
    let read = |text: &Value| {
        write(&path, json!({"model_type": "gemma3", "text_config": text}).to_string().as_bytes()).unwrap();
        read_config(&path).unwrap()
    };
    assert_eq!(read(&small), (expected.clone(), Some(vec![8.0; 128])));
    let expected = ModelConfig {
        hidden: 5376,
        feed_forward: 21_504,
        layers: 62,
        heads: 32,
        kv_heads: 16,
        head_dim: 128,
        attention_width: Some(168),
        ..expected
    };
    assert_eq!(read(&large), (expected, Some(vec![8.0; 64])));
}

#[test]
fn linear_scaling_is_for_layers_that_see_everything() {
    // The sixth layer is the first of them.
    for (layers, is_scaled) in [(5, false), (6, true)] {
        let folder = tempfile::tempdir().unwrap();
        let files = publish(folder.path(), &Toy { layers, ..Toy::new(Family::Gemma3, 4) });
        let plain = logits(&files);
        change_config(folder.path(), |config| {
            config["rope_scaling"] = json!({"rope_type": "linear", "type": "linear", "factor": 8.0});
        });
        assert_eq!(logits(&files) != plain, is_scaled, "{layers} layers");
    }
}

#[test]
fn a_position_that_is_stretched_has_the_angles_of_one_that_is_not() {
    let config = Toy::new(Family::Gemma3, 1).config();
    let factors = vec![8.0; config.head_dim / 2];
    let stretched = Rope::new(&config, 1e6, Some(factors.as_slice()));
    let plain = Rope::new(&config, 1e6, None);
    assert_eq!(stretched.angles(&[0, 8, 800]), plain.angles(&[0, 1, 100]));
}

#[test]
fn scores_are_scaled_as_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let files = publish(folder.path(), &Toy::new(Family::Gemma3, 4));
    let usual = logits(&files);
    // Four times the width halves the scores, and so do halved norms of the queries, which are kept less 1.
    change_config(folder.path(), |config| config["query_pre_attn_scalar"] = json!(64));
    let scaled = logits(&files);
    assert!(distance(&usual, &scaled) > 1e-2);
    let mut card = CandleDecoder::load_as_on_a_card(&files).unwrap();
    assert!(distance(&logits_of(&mut card), &scaled) < 3e-3);
    change_config(folder.path(), |config| config["query_pre_attn_scalar"] = json!(16));
    change_weights(&files, |name, tensor| {
        let is_norm = name.ends_with("q_norm.weight");
        (name, if is_norm { tensor.affine(0.5, -0.5).unwrap() } else { tensor })
    });
    assert!(distance(&logits(&files), &scaled) < 1e-4);
}
