//! From a model file to a running engine.

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

use super::decoder::{Adapter, CandleDecoder, Decoder, ModelFiles};
use super::device::DeviceKind;
use super::engine::{Engine, EngineHandle, EngineOptions};
use super::prompter::Prompter;
use crate::KernelError;

/// Which model to load, and where it computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSpec {
    /// Weights, tokenizer and chat template.
    pub files: ModelFiles,
    /// The device.
    pub device: DeviceKind,
    /// Limits of the engine.
    pub options: EngineOptions,
}

impl ModelSpec {
    /// A GGUF file on a device, with all else as usual.
    pub fn new(path: impl Into<PathBuf>, device: DeviceKind) -> Self {
        Self { files: ModelFiles::gguf(path), device, options: EngineOptions::default() }
    }
}

/// The decoder of an engine, whose concrete kind is known where adapters need it.
pub(super) enum Model {
    /// A model loaded by [`Engine::load`].
    Candle(Box<CandleDecoder>),
    /// A model that the caller brought.
    Other(Box<dyn Decoder>),
}

impl Model {
    pub(super) fn decoder(&mut self) -> &mut dyn Decoder {
        match self {
            Self::Candle(decoder) => decoder.as_mut(),
            Self::Other(decoder) => decoder.as_mut(),
        }
    }

    fn set_adapter(&mut self, adapter: Option<&Adapter>) -> Result<(), KernelError> {
        match self {
            Self::Candle(decoder) => decoder.set_adapter(adapter),
            Self::Other(_) => Err(KernelError::Argument("this engine's decoder takes no adapters".into())),
        }
    }
}

impl Engine {
    /// Loads a model and starts an engine on it.
    ///
    /// # Errors
    /// A file cannot be used, its tokenizer or chat template is not supported, or the device does not answer.
    pub fn load(spec: &ModelSpec) -> Result<Self, KernelError> {
        let prompter = Prompter::load(&spec.files)?;
        let decoder = CandleDecoder::load(&spec.files, spec.device)?;
        Self::start(Model::Candle(Box::new(decoder)), prompter, spec.options)
    }
}

impl EngineHandle {
    /// Puts a low-rank adapter on the model in place of an earlier one, or takes it away: after all requests sent
    /// before, and before all sent after. Waits for that.
    ///
    /// # Errors
    /// The adapter does not fit the model, the decoder is not one of [`Engine::load`], or the engine has stopped.
    pub fn set_adapter(&self, adapter: Option<Adapter>) -> Result<(), KernelError> {
        let (sender, receiver) = sync_channel(1);
        self.with_model(Box::new(move |model| {
            // The receiver waits below.
            let _ = sender.send(model.set_adapter(adapter.as_ref()));
        }))?;
        receiver.recv().map_err(|_| KernelError::Argument("the engine has stopped".into()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::answer::AnswerForm;
    use crate::llm::chat::ChatMessage;
    use crate::llm::decoder::toy::{Toy, write_gguf};
    use crate::llm::decoder::{Factors, Family, Part};
    use crate::llm::grammar::Grammar;
    use crate::llm::request::{Completion, FinishReason, Request, Sampling};

    fn form() -> AnswerForm {
        serde_json::from_str(
            r#"{"fields": [{"name": "said", "kind": {"quote": {"min_words": 1, "max_words": 3}}},
                {"name": "mood", "kind": {"choice": {"options": ["good", "bad"]}}},
                {"name": "age", "kind": {"integer": {"min": 0, "max": 120}}}]}"#,
        )
        .unwrap()
    }

    fn requests() -> Vec<Request> {
        let request = |n: u8| {
            let evidence = format!("the cat and the dog {n} sat here {}", n % 3);
            Request {
                key: [n; 16],
                messages: vec![
                    ChatMessage::new("system", "Say in one line what the person tells about themselves."),
                    ChatMessage::new("user", evidence.clone()),
                ],
                answer_prefix: String::new(),
                grammar: if n.is_multiple_of(3) { Grammar::Free } else { form().grammar(&evidence).unwrap() },
            }
        };
        (0..9).map(request).collect()
    }

    /// The engine's promise holds with computed logits, too: the kernels round a row the same whatever is beside it.
    #[test]
    fn a_loaded_model_answers_the_same_in_any_batch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("toy.gguf");
        for family in Family::ALL {
            write_gguf(&path, &Toy::new(family, 3)).unwrap();
            let sampling = Sampling { max_tokens: 48, temperature: 0.8, ..Sampling::default() };
            let mut first: Option<Vec<Completion>> = None;
            for (max_sequences, token_budget) in [(1, 512), (9, 512), (4, 7)] {
                let options = EngineOptions { max_sequences, token_budget, ..EngineOptions::default() };
                let spec = ModelSpec { options, ..ModelSpec::new(&path, DeviceKind::Cpu) };
                let engine = Engine::load(&spec).unwrap();
                let answers = engine.handle().generate(requests(), &sampling);
                for (answer, request) in answers.iter().zip(requests()) {
                    if request.grammar != Grammar::Free && answer.finish == FinishReason::Stop {
                        form().parse(&answer.text).unwrap();
                    }
                }
                assert!(engine.handle().progress().cached_prompt_tokens > 0);
                assert_eq!(first.get_or_insert_with(|| answers.clone()), &answers, "{options:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_loaded_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("toy.gguf");
        let load = |spec: ModelSpec| Engine::load(&spec).unwrap_err().to_string();
        assert!(load(ModelSpec::new(&path, DeviceKind::Cpu)).contains("toy.gguf"));
        write_gguf(&path, &Toy::new(Family::Llama, 1)).unwrap();
        let missing = folder.path().join("tokenizer.json");
        let files = ModelFiles { tokenizer: Some(missing), ..ModelFiles::gguf(&path) };
        let spec = ModelSpec { files, ..ModelSpec::new(&path, DeviceKind::Cpu) };
        assert!(load(spec).contains("tokenizer.json"));
        let options = EngineOptions { max_sequences: 0, ..EngineOptions::default() };
        let spec = ModelSpec { options, ..ModelSpec::new(&path, DeviceKind::Cpu) };
        assert!(load(spec).contains("at least one"));
    }

    #[test]
    fn an_adapter_is_put_on_and_taken_off_between_requests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("toy.gguf");
        let toy = Toy::new(Family::Llama, 1);
        write_gguf(&path, &toy).unwrap();
        let config = toy.config();
        let values = |count: usize| (0..count).map(|n| (n % 7) as f32 * 0.1 - 0.3).collect();
        let (outputs, inputs) = Part::Query.shape(&config);
        let factors = Factors { down: values(2 * inputs), up: values(2 * outputs) };
        let adapter = Adapter {
            rank: 2,
            alpha: 8.0,
            targets: vec![Part::Query],
            base_model: "toy".into(),
            base_digest: String::new(),
            factors: (0..config.layers).map(|layer| ((layer, Part::Query), factors.clone())).collect(),
        };
        let engine = Engine::load(&ModelSpec::new(&path, DeviceKind::Cpu)).unwrap();
        let handle = engine.handle();
        let sampling = Sampling { max_tokens: 20, ..Sampling::default() };
        let before = handle.generate(requests(), &sampling);
        handle.set_adapter(Some(adapter)).unwrap();
        let adapted = handle.generate(requests(), &sampling);
        handle.set_adapter(None).unwrap();
        assert_ne!(adapted, before);
        assert_eq!(handle.generate(requests(), &sampling), before);
    }
}
