//! GGUF model files: metadata, tensor shapes and tensors, bounds checked against the file.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::QTensor;
use candle_core::quantized::gguf_file::{Content, Value};

use crate::KernelError;

/// An open GGUF file: its metadata is read, its tensors are read on demand.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    file: File,
    content: Content,
}

impl GgufFile {
    /// Opens the file, reads its header and checks that every tensor lies within it.
    ///
    /// # Errors
    /// [`KernelError::Model`] if the file is missing, is no GGUF file, or is cut off.
    pub fn open(path: &Path) -> Result<Self, KernelError> {
        let fail = |reason: String| KernelError::Model { path: path.to_path_buf(), reason };
        let file = File::open(path).map_err(|error| fail(format!("cannot be opened: {error}")))?;
        let length = file.metadata().map_err(|error| fail(error.to_string()))?.len();
        let mut reader = BufReader::new(&file);
        // Candle checks lengths, but divides by an alignment that it takes from the file unseen.
        let content = std::panic::catch_unwind(AssertUnwindSafe(|| Content::read(&mut reader)))
            .map_err(|_| fail("malformed GGUF header".into()))?
            .map_err(|error| fail(format!("not a whole GGUF file ({length} bytes): {error}")))?;
        for (name, info) in sorted(&content.tensor_infos) {
            let size =
                tensor_bytes(info.shape.dims(), info.ggml_dtype.block_size(), info.ggml_dtype.type_size())
                    .ok_or_else(|| fail(format!("tensor {name} has an impossible shape {:?}", info.shape)))?;
            let end = content.tensor_data_offset.checked_add(info.offset).and_then(|at| at.checked_add(size));
            if end.is_none_or(|end| end > length) {
                return Err(fail(format!(
                    "cut off: tensor {name} needs {size} bytes at {} of the data, the file has {length}",
                    info.offset
                )));
            }
        }
        Ok(Self { path: path.to_path_buf(), file, content })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All metadata, tokenizer and chat template included.
    pub fn metadata(&self) -> &HashMap<String, Value> {
        &self.content.metadata
    }

    /// The value of `general.architecture`.
    ///
    /// # Errors
    /// The key is missing or no string.
    pub fn architecture(&self) -> Result<&str, KernelError> {
        self.string("general.architecture")
    }

    /// A string of the metadata.
    ///
    /// # Errors
    /// The key is missing or no string.
    pub fn string(&self, key: &str) -> Result<&str, KernelError> {
        match self.content.metadata.get(key) {
            Some(Value::String(text)) => Ok(text),
            other => Err(self.wrong(key, "a string", other)),
        }
    }

    /// A non-negative whole number of the metadata, of whatever integer type.
    ///
    /// # Errors
    /// The key is missing, or no such number.
    pub fn integer(&self, key: &str) -> Result<usize, KernelError> {
        let value = self.content.metadata.get(key);
        let number = match value {
            Some(Value::U8(number)) => Some(u64::from(*number)),
            Some(Value::U16(number)) => Some(u64::from(*number)),
            Some(Value::U32(number)) => Some(u64::from(*number)),
            Some(Value::U64(number)) => Some(*number),
            Some(Value::I8(number)) => u64::try_from(*number).ok(),
            Some(Value::I16(number)) => u64::try_from(*number).ok(),
            Some(Value::I32(number)) => u64::try_from(*number).ok(),
            Some(Value::I64(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        number
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| self.wrong(key, "a whole number", value))
    }

    /// A number of the metadata as 32-bit float.
    ///
    /// # Errors
    /// The key is missing or no float.
    pub fn float(&self, key: &str) -> Result<f32, KernelError> {
        match self.content.metadata.get(key) {
            Some(Value::F32(number)) => Ok(*number),
            #[expect(clippy::cast_possible_truncation, reason = "every number of a model config fits f32")]
            Some(Value::F64(number)) => Ok(*number as f32),
            other => Err(self.wrong(key, "a float", other)),
        }
    }

    /// Shape of a tensor, outermost dimension first, if the file has it.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.content.tensor_infos.get(name).map(|info| info.shape.dims())
    }

    /// Reads a tensor that must have this shape (outermost dimension first).
    ///
    /// # Errors
    /// The tensor is missing, has another shape, or cannot be read.
    pub fn tensor(&self, name: &str, shape: &[usize], device: &Device) -> Result<QTensor, KernelError> {
        let info = self
            .content
            .tensor_infos
            .get(name)
            .ok_or_else(|| self.error(format!("has no tensor `{name}`")))?;
        if info.shape.dims() != shape {
            return Err(
                self.error(format!("tensor {name} has shape {:?}, expected {shape:?}", info.shape.dims()))
            );
        }
        info.read(&mut &self.file, self.content.tensor_data_offset, device)
            .map_err(|error| self.error(format!("tensor {name}: {error}")))
    }

    /// A [`KernelError::Model`] about this file.
    pub fn error(&self, reason: impl Into<String>) -> KernelError {
        KernelError::Model { path: self.path.clone(), reason: reason.into() }
    }

    fn wrong(&self, key: &str, expected: &str, found: Option<&Value>) -> KernelError {
        self.error(match found {
            None => format!("metadata has no `{key}`, expected {expected}"),
            Some(value) => format!("metadata `{key}` is {:?}, expected {expected}", value.value_type()),
        })
    }
}

fn tensor_bytes(shape: &[usize], block: usize, block_bytes: usize) -> Option<u64> {
    let elements = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
    let rows_are_whole = shape.last().is_some_and(|&width| width > 0 && width.is_multiple_of(block));
    if !rows_are_whole || elements == 0 {
        return None;
    }
    u64::try_from((elements / block).checked_mul(block_bytes)?).ok()
}

fn sorted<V>(map: &HashMap<String, V>) -> Vec<(&String, &V)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::decoder::toy::{Toy, write_gguf};
    use crate::llm::decoder::{Family, ModelConfig};

    fn write(folder: &Path, bytes: &[u8]) -> PathBuf {
        let path = folder.join("model.gguf");
        #[expect(clippy::disallowed_methods, reason = "a file of the test's own")]
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn toy(folder: &Path) -> Vec<u8> {
        let path = folder.join("toy.gguf");
        write_gguf(&path, &Toy::new(Family::Llama, 1)).unwrap();
        std::fs::read(path).unwrap()
    }

    /// The file with the first occurrence of `from` replaced by `to`, of the same length.
    fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        let mut bytes = bytes.to_vec();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    }

    fn open(folder: &Path, bytes: &[u8]) -> Result<ModelConfig, KernelError> {
        ModelConfig::from_gguf(&GgufFile::open(&write(folder, bytes))?)
    }

    #[test]
    fn missing_cut_and_foreign_files_are_clear_errors() {
        let folder = tempfile::tempdir().unwrap();
        let good = toy(folder.path());
        assert!(open(folder.path(), &good).is_ok());
        let missing = GgufFile::open(&folder.path().join("none.gguf")).unwrap_err().to_string();
        assert!(missing.contains("none.gguf") && missing.contains("cannot be opened"), "{missing}");
        let cases: [(Vec<u8>, &str); 7] = [
            (b"PK\x03\x04 something else entirely".to_vec(), "not a whole GGUF file"),
            (Vec::new(), "not a whole GGUF file"),
            (good[..good.len() / 2].to_vec(), "cut off: tensor"),
            (good[..good.len() - 1000].to_vec(), "cut off: tensor"),
            (good[..500].to_vec(), "not a whole GGUF file"),
            (
                replaced(&good, b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0mamba"),
                "supported are `llama`, `qwen2`, `qwen3`",
            ),
            (
                replaced(&good, b"llama.block_count", b"llama.block_c0unt"),
                "metadata has no `llama.block_count`",
            ),
        ];
        for (bytes, expected) in cases {
            let message = open(folder.path(), &bytes).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}, expected {expected}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_or_with_a_byte_turned_is_never_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let good = toy(folder.path());
        let header = good.len().min(12_000);
        for at in (0..header).step_by(97) {
            let _ = open(folder.path(), &good[..at]);
            let mut turned = good.clone();
            turned[at] ^= 0xff;
            let _ = open(folder.path(), &turned);
        }
    }

    #[test]
    fn tensors_must_have_the_expected_shape() {
        let folder = tempfile::tempdir().unwrap();
        let file = GgufFile::open(&write(folder.path(), &toy(folder.path()))).unwrap();
        assert_eq!(file.shape("output_norm.weight"), Some([64].as_slice()));
        assert!(file.tensor("output_norm.weight", &[64], &Device::Cpu).is_ok());
        for (name, shape, expected) in [
            ("output_norm.weight", [65], "has shape [64], expected [65]"),
            ("none", [1], "has no tensor `none`"),
        ] {
            let message = file.tensor(name, &shape, &Device::Cpu).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
