//! The device a model computes on. The only file that knows which back ends were compiled in.

use candle_core::Device;
use serde::{Deserialize, Serialize};

use crate::KernelError;

/// A device as named in a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// CUDA if it was compiled in and a card answers, else Metal likewise, else the CPU.
    #[default]
    Auto,
    /// The host's processor.
    Cpu,
    /// The first CUDA card; needs the feature `cuda`.
    Cuda,
    /// Apple's GPU; needs the feature `metal`.
    Metal,
}

/// Opens the device of that kind.
///
/// # Errors
/// The kind was not compiled in, or no such device answers. `Auto` and `Cpu` never fail.
pub fn pick(kind: DeviceKind) -> Result<Device, KernelError> {
    match kind {
        DeviceKind::Cpu => Ok(Device::Cpu),
        DeviceKind::Cuda => cuda(),
        DeviceKind::Metal => metal(),
        DeviceKind::Auto => Ok(cuda().or_else(|_| metal()).unwrap_or(Device::Cpu)),
    }
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device, KernelError> {
    Ok(Device::new_cuda(0)?)
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device, KernelError> {
    Err(KernelError::Argument("device \"cuda\": this program was built without the feature `cuda`".into()))
}

#[cfg(feature = "metal")]
fn metal() -> Result<Device, KernelError> {
    Ok(Device::new_metal(0)?)
}

#[cfg(not(feature = "metal"))]
fn metal() -> Result<Device, KernelError> {
    Err(KernelError::Argument("device \"metal\": this program was built without the feature `metal`".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_snake_case() {
        let kinds: Vec<DeviceKind> = serde_json::from_str(r#"["auto", "cpu", "cuda", "metal"]"#).unwrap();
        assert_eq!(kinds, [DeviceKind::Auto, DeviceKind::Cpu, DeviceKind::Cuda, DeviceKind::Metal]);
        assert!(serde_json::from_str::<DeviceKind>("\"Cpu\"").is_err());
    }

    #[test]
    fn cpu_and_auto_always_answer() {
        assert!(pick(DeviceKind::Cpu).unwrap().is_cpu());
        assert!(pick(DeviceKind::Auto).is_ok());
    }

    #[cfg(not(any(feature = "cuda", feature = "metal")))]
    #[test]
    fn a_kind_that_was_not_compiled_in_says_so() {
        let message = pick(DeviceKind::Cuda).unwrap_err().to_string();
        assert!(message.contains("without the feature `cuda`"), "{message}");
    }
}
