//! From a model file to a running engine.

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

use super::chat::ChatTemplate;
use super::decoder::{Adapter, CandleDecoder, Decoder};
use super::device::DeviceKind;
use super::engine::{Engine, EngineHandle, EngineOptions};
use super::gguf::GgufFile;
use super::tokenizer::TextTokenizer;
use crate::KernelError;

/// Which model to load, and where it computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSpec {
    /// The GGUF file: weights, tokenizer and chat template.
    pub path: PathBuf,
    /// A `tokenizer.json` to use instead of the tokenizer in the GGUF file.
    pub tokenizer: Option<PathBuf>,
    /// The device.
    pub device: DeviceKind,
    /// Limits of the engine.
    pub options: EngineOptions,
}

impl ModelSpec {
    /// A model file on a device, with all else as usual.
    pub fn new(path: impl Into<PathBuf>, device: DeviceKind) -> Self {
        Self { path: path.into(), tokenizer: None, device, options: EngineOptions::default() }
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
    /// Loads a model file and starts an engine on it.
    ///
    /// # Errors
    /// The file cannot be used, its tokenizer or chat template is not supported, or the device does not answer.
    pub fn load(spec: &ModelSpec) -> Result<Self, KernelError> {
        let file = GgufFile::open(&spec.path)?;
        let tokenizer = match &spec.tokenizer {
            Some(path) => TextTokenizer::from_file(path)?,
            None => {
                TextTokenizer::from_gguf(file.metadata()).map_err(|error| file.error(error.to_string()))?
            }
        };
        let chat = ChatTemplate::from_gguf(file.metadata(), &tokenizer)
            .map_err(|error| file.error(error.to_string()))?;
        let decoder = CandleDecoder::load(&spec.path, spec.device)?;
        Self::start(Model::Candle(Box::new(decoder)), tokenizer, chat, spec.options)
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
