//! Products with quantised matrices on the host.
//!
//! The weights of a GGUF file are rearranged once, without loss where a file's type allows it, into tiles of 16 rows
//! by 32 columns; activations are quantised to 8 bits in groups of 32. All sums within a group are exact integers,
//! and the groups are added up in order with fused multiply-adds, one accumulator for each value of the result. So a
//! value has the same bits whatever the thread, the instruction set ([`scalar`] is the specification of [`avx2`] and
//! [`avx512`]) or the other rows of the product.

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocks;
mod scalar;
mod tiles;

use std::sync::OnceLock;

use rayon::prelude::*;

pub(super) use activations::Activations;
use activations::Coded;
pub(super) use tiles::Quantised;
use tiles::{TILE, Tiles};

/// Rows of activations that share the unpacking of a tile.
const ROWS: usize = 4;

/// Rows from which vectors of 512 bits pay.
const WIDE_ROWS: usize = 32;

/// Bytes of activations that stay in the cache of a core while the tiles of a task go by.
const PANEL_BYTES: usize = 192 * 1024;

/// Products of the same activations with several matrices: one `[rows, outputs]` for each.
pub(super) fn multiply(matrices: &[&Quantised], activations: &Activations) -> Vec<Vec<f32>> {
    let rows = activations.rows();
    let unit = VectorUnit::for_rows(rows);
    // By tiles first: [tiles, rows, TILE].
    let mut strips: Vec<Vec<f32>> =
        matrices.iter().map(|matrix| vec![0.0; matrix.outputs.div_ceil(TILE) * rows * TILE]).collect();
    let tiles: usize = matrices.iter().map(|matrix| matrix.outputs.div_ceil(TILE)).sum();
    let grain = (tiles / (8 * rayon::current_num_threads())).max(1);
    let tasks: Vec<(&Quantised, usize, &mut [f32])> = matrices
        .iter()
        .zip(&mut strips)
        .flat_map(|(matrix, strips)| {
            let chunks = strips.chunks_mut(grain * rows * TILE).enumerate();
            chunks.map(move |(index, strips)| (*matrix, index * grain, strips))
        })
        .collect();
    tasks.into_par_iter().for_each(|(matrix, first, strips)| {
        let panel = (PANEL_BYTES / (matrix.groups * size_of::<Coded>()) / ROWS * ROWS).max(ROWS);
        for start in (0..rows).step_by(panel) {
            for (index, strip) in strips.chunks_exact_mut(rows * TILE).enumerate() {
                let strip = &mut strip[start * TILE..(start + panel).min(rows) * TILE];
                multiply_tile(matrix, first + index, activations, start, strip, unit);
            }
        }
    });
    matrices.iter().zip(strips).map(|(matrix, strips)| by_rows(strips, rows, matrix.outputs)).collect()
}

/// What a processor multiplies with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VectorUnit {
    /// Whatever the build's own target has.
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl VectorUnit {
    /// All that were detected on this processor, the best one last.
    fn available() -> Vec<Self> {
        let mut units = vec![Self::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                units.push(Self::Avx2);
            }
            if avx512::is_there() {
                units.push(Self::Avx512);
            }
        }
        units
    }

    /// The one for so many rows: with few, memory is what is waited for, and the wider vectors were slower.
    fn for_rows(rows: usize) -> Self {
        static FOUND: OnceLock<Vec<VectorUnit>> = OnceLock::new();
        let found = FOUND.get_or_init(Self::available);
        let best = if rows < WIDE_ROWS { found.len().min(2) } else { found.len() };
        found.get(best - 1).copied().unwrap_or(Self::Plain)
    }
}

/// One tile of outputs for the rows from `start`: `strip` is `[rows, TILE]`.
fn multiply_tile(
    matrix: &Quantised,
    tile: usize,
    activations: &Activations,
    start: usize,
    strip: &mut [f32],
    unit: VectorUnit,
) {
    let (strips, _) = strip.as_chunks_mut::<TILE>();
    for (index, strips) in strips.chunks_mut(ROWS).enumerate() {
        let row = |offset: usize| activations.row(start + index * ROWS + offset);
        match strips {
            [a, b, c, d] => {
                [*a, *b, *c, *d] = product(matrix, tile, [row(0), row(1), row(2), row(3)], unit);
            }
            [a, b, c] => [*a, *b, *c] = product(matrix, tile, [row(0), row(1), row(2)], unit),
            [a, b] => [*a, *b] = product(matrix, tile, [row(0), row(1)], unit),
            [a] => [*a] = product(matrix, tile, [row(0)], unit),
            _ => {}
        }
    }
}

fn product<const M: usize>(
    matrix: &Quantised,
    tile: usize,
    rows: [&[Coded]; M],
    unit: VectorUnit,
) -> [[f32; TILE]; M] {
    let range = tile * matrix.groups..(tile + 1) * matrix.groups;
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "calls functions compiled for features that were detected")]
    // SAFETY: a unit is only made where its features were detected.
    unsafe {
        match (unit, &matrix.tiles) {
            (VectorUnit::Plain, _) => {}
            (VectorUnit::Avx2, Tiles::Four(tiles)) => return avx2::four(&tiles[range], rows),
            (VectorUnit::Avx2, Tiles::Six(tiles)) => return avx2::six(&tiles[range], rows),
            (VectorUnit::Avx2, Tiles::Eight(tiles)) => return avx2::eight(&tiles[range], rows),
            (VectorUnit::Avx512, Tiles::Four(tiles)) => return avx512::four(&tiles[range], rows),
            (VectorUnit::Avx512, Tiles::Six(tiles)) => return avx512::six(&tiles[range], rows),
            (VectorUnit::Avx512, Tiles::Eight(tiles)) => return avx512::eight(&tiles[range], rows),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let VectorUnit::Plain = unit;
    rows.map(|row| match &matrix.tiles {
        Tiles::Four(tiles) => scalar::four(&tiles[range.clone()], row),
        Tiles::Six(tiles) => scalar::six(&tiles[range.clone()], row),
        Tiles::Eight(tiles) => scalar::eight(&tiles[range.clone()], row),
    })
}

/// From `[tiles, rows, TILE]` to `[rows, outputs]`.
fn by_rows(mut strips: Vec<f32>, rows: usize, outputs: usize) -> Vec<f32> {
    if rows == 1 {
        strips.truncate(outputs);
        return strips;
    }
    let mut result = vec![0.0; rows * outputs];
    result.par_chunks_exact_mut(outputs).enumerate().for_each(|(row, result)| {
        for (tile, result) in result.chunks_mut(TILE).enumerate() {
            let start = (tile * rows + row) * TILE;
            result.copy_from_slice(&strips[start..start + result.len()]);
        }
    });
    result
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};
    use proptest::prelude::*;

    use super::super::rng::SplitMix64;
    use super::*;

    const TYPES: [GgmlDType; 11] = [
        GgmlDType::Q4_0,
        GgmlDType::Q4_1,
        GgmlDType::Q5_0,
        GgmlDType::Q5_1,
        GgmlDType::Q8_0,
        GgmlDType::Q4K,
        GgmlDType::Q5K,
        GgmlDType::Q6K,
        GgmlDType::Q3K,
        GgmlDType::F16,
        GgmlDType::BF16,
    ];

    fn values(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = SplitMix64::new(seed);
        (0..count).map(|_| rng.normal()).collect()
    }

    fn weights(outputs: usize, inputs: usize, data_type: GgmlDType, seed: u64) -> QTensor {
        let values =
            Tensor::from_vec(values(outputs * inputs, seed), (outputs, inputs), &Device::Cpu).unwrap();
        QTensor::quantize(&values, data_type).unwrap()
    }

    fn inputs_for(data_type: GgmlDType, groups: usize) -> usize {
        groups * data_type.block_size().max(32)
    }

    /// Products with the dequantised matrix in `f64`, and the largest that they could have been.
    fn truth(weights: &QTensor, input: &[f32]) -> (Vec<f64>, f64) {
        let (_, inputs) = weights.shape().dims2().unwrap();
        let dense: Vec<f32> =
            weights.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let dot =
            |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>();
        let products =
            input.chunks(inputs).flat_map(|x| dense.chunks(inputs).map(move |w| dot(x, w))).collect();
        (products, (inputs as f64).sqrt())
    }

    #[test]
    fn products_are_close_to_those_of_the_dequantised_matrix() {
        for data_type in TYPES {
            for (outputs, groups, rows) in [(16, 1, 1), (40, 2, 5), (33, 3, 4)] {
                let inputs = inputs_for(data_type, groups);
                let weights = weights(outputs, inputs, data_type, 1);
                let input = values(rows * inputs, 2);
                let matrix = Quantised::new(&weights).unwrap().unwrap();
                let [got] = multiply(&[&matrix], &Activations::new(&input, inputs)).try_into().unwrap();
                let (truth, scale) = truth(&weights, &input);
                assert_eq!(got.len(), truth.len());
                for (got, truth) in got.iter().zip(&truth) {
                    let error = (f64::from(*got) - truth).abs() / scale;
                    assert!(error < 0.03, "{data_type:?}: {got} against {truth}");
                }
            }
        }
    }

    #[test]
    fn lossless_types_are_rearranged_without_loss() {
        for data_type in [
            GgmlDType::Q4_0,
            GgmlDType::Q4_1,
            GgmlDType::Q5_0,
            GgmlDType::Q8_0,
            GgmlDType::Q4K,
            GgmlDType::Q6K,
        ] {
            let inputs = inputs_for(data_type, 2);
            let weights = weights(20, inputs, data_type, 3);
            let dense: Vec<f32> =
                weights.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let matrix = Quantised::new(&weights).unwrap().unwrap();
            // A one in a single column: its group quantises to exactly 127 and a scale of 1/127.
            for column in [0, 1, 5, 15, 16, 31, 32, inputs - 1] {
                let mut input = vec![0.0; inputs];
                input[column] = 1.0;
                let [got] = multiply(&[&matrix], &Activations::new(&input, inputs)).try_into().unwrap();
                for (output, got) in got.iter().enumerate() {
                    let want = dense[output * inputs + column];
                    assert!(
                        (got - want).abs() <= 1e-5 * want.abs().max(0.1),
                        "{data_type:?} {column}: {got}, {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn several_matrices_at_once_give_what_each_gives_alone() {
        let input = values(6 * 256, 9);
        let activations = Activations::new(&input, 256);
        let matrices: Vec<Quantised> = [(GgmlDType::Q4K, 48), (GgmlDType::Q6K, 17), (GgmlDType::Q8_0, 200)]
            .iter()
            .map(|&(data_type, outputs)| {
                Quantised::new(&weights(outputs, 256, data_type, 4)).unwrap().unwrap()
            })
            .collect();
        let together = multiply(&matrices.iter().collect::<Vec<_>>(), &activations);
        for (matrix, together) in matrices.iter().zip(together) {
            assert_eq!(multiply(&[matrix], &activations), [together]);
        }
    }

    #[test]
    fn widths_that_are_no_whole_groups_are_left_to_others() {
        let values = Tensor::zeros((4, 40), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(Quantised::new(&QTensor::quantize(&values, GgmlDType::F16).unwrap()).unwrap().is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Extreme codes included: the integer sums must not overflow.
        #[test]
        fn every_instruction_set_gives_the_bits_of_the_scalar_one(
            seed in 0u64..1000,
            groups in 1usize..4,
            rows in 1usize..10,
            kind in 0usize..TYPES.len(),
            extreme in any::<bool>(),
        ) {
            let inputs = inputs_for(TYPES[kind], groups);
            let mut rng = SplitMix64::new(seed);
            let mut draw = |count: usize| -> Vec<f32> {
                (0..count).map(|_| if extreme { rng.symmetric().signum() } else { rng.normal() }).collect()
            };
            let dense = Tensor::from_vec(draw(24 * inputs), (24, inputs), &Device::Cpu).unwrap();
            let matrix = Quantised::new(&QTensor::quantize(&dense, TYPES[kind]).unwrap()).unwrap().unwrap();
            let input = draw(rows * inputs);
            let activations = Activations::new(&input, inputs);
            for tile in 0..2 {
                let strips = VectorUnit::available().into_iter().map(|unit| {
                    let mut strip = vec![0.0; rows * TILE];
                    multiply_tile(&matrix, tile, &activations, 0, &mut strip, unit);
                    strip
                });
                let strips: Vec<Vec<f32>> = strips.collect();
                prop_assert!(strips.iter().all(|strip| strip == &strips[0]), "{strips:?}");
            }
        }
    }
}
