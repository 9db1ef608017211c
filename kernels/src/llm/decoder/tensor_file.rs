//! Named `f32` tensors in safetensors files.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::KernelError;

/// A tensor of a file: its shape, and its values in row-major order.
pub(crate) type Named = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Writes the tensors to `path`; the same tensors give the same bytes.
///
/// Not atomic: the caller gives a path inside a folder that it commits as a whole.
pub(crate) fn save(path: &Path, tensors: &Named) -> Result<(), KernelError> {
    let fail = |reason: String| KernelError::Model { path: path.to_path_buf(), reason };
    let bytes: Vec<(&String, &[usize], Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            (name, shape.as_slice(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, shape, data)| Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), data)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|error| fail(error.to_string()))?;
    let file = safetensors::serialize(views, None).map_err(|error| fail(error.to_string()))?;
    write(path, &file)
}

/// Reads all tensors of `path`, which must be `F32`.
pub(crate) fn load(path: &Path) -> Result<Named, KernelError> {
    let fail = |reason: String| KernelError::Model { path: path.to_path_buf(), reason };
    let bytes = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let file =
        SafeTensors::deserialize(&bytes).map_err(|error| fail(format!("not a safetensors file: {error}")))?;
    let mut tensors = Named::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(fail(format!("tensor {name} is {:?}, expected F32", view.dtype())));
        }
        let (chunks, _) = view.data().as_chunks::<4>();
        let values = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        tensors.insert(name.to_string(), (view.shape().to_vec(), values));
    }
    Ok(tensors)
}

/// Writes a whole file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), KernelError> {
    #[expect(clippy::disallowed_methods, reason = "inside a folder that the caller commits as a whole")]
    let written = std::fs::write(path, bytes);
    written.map_err(|error| KernelError::Model { path: path.to_path_buf(), reason: error.to_string() })
}
