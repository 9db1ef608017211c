//! Elementary operations on rows of `f32`, in an order of additions that is fixed: the result depends on the
//! operands alone, neither on threads nor on the vector unit found at run time.

use rayon::prelude::*;

/// Defines a function whose body is compiled twice: for the build's own target and for AVX2 with FMA, chosen at
/// run time. Bodies use `mul_add` explicitly, so both give the same bits.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $output:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name($($argument: $kind),*) $(-> $output)? {
            // Always, so that it takes on the features of the function it is inlined into.
            #[inline(always)]
            fn portable($($argument: $kind),*) $(-> $output)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($argument: $kind),*) $(-> $output)? {
                    portable($($argument),*)
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    #[expect(unsafe_code, reason = "calls a function compiled for features that were just detected")]
                    // SAFETY: both features were detected on this processor.
                    return unsafe { avx2($($argument),*) };
                }
            }
            portable($($argument),*)
        }
    };
}
pub(super) use vectorised;

/// Independent partial sums of a dot product.
const LANES: usize = 32;

/// Sum of `left[i] * right[i]`, over the shorter length; for use inside [`vectorised!`] bodies.
#[expect(clippy::inline_always, reason = "must take on the features of the function it is inlined into")]
#[inline(always)]
pub(super) fn dot_inline(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let mut left = left.chunks_exact(LANES);
    let mut right = right.chunks_exact(LANES);
    for (a, b) in (&mut left).zip(&mut right) {
        for lane in 0..LANES {
            lanes[lane] = a[lane].mul_add(b[lane], lanes[lane]);
        }
    }
    for (lane, (a, b)) in left.remainder().iter().zip(right.remainder()).enumerate() {
        lanes[lane] = a.mul_add(*b, lanes[lane]);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `e^x` to 2 units in the last place for `x <= 88`, `e^88` beyond; 0 below -87.
///
/// Written out because the platform's `exp` neither vectorises nor has the same bits everywhere.
#[inline(always)]
pub(super) fn exp_inline(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x < -87.0 { -87.0 } else { x };
    let clamped = if clamped > 88.0 { 88.0 } else { clamped };
    // Adding 1.5 * 2^23 rounds to the nearest whole number and leaves it in the low bits.
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, 12_582_912.0);
    let rounded = shifted - 12_582_912.0;
    let rest = rounded.mul_add(-LN2_LOW, rounded.mul_add(-LN2_HIGH, clamped));
    let mut series = 1.987_569_1e-4_f32;
    series = series.mul_add(rest, 1.398_2e-3);
    series = series.mul_add(rest, 8.333_452e-3);
    series = series.mul_add(rest, 4.166_579_6e-2);
    series = series.mul_add(rest, 0.166_666_66);
    series = series.mul_add(rest, 0.5);
    let value = series.mul_add(rest * rest, rest) + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { value * power }
}

/// Values that one task of an elementwise operation works on.
const GRAIN: usize = 16 * 1024;

/// Root-mean-square norm of each row of `input` (rows of `weight.len()` values), times `weight`.
pub(super) fn rms_norm(input: &[f32], weight: &[f32], epsilon: f32, output: &mut [f32]) {
    let grain = (GRAIN / weight.len()).max(1) * weight.len();
    let tasks = input.par_chunks(grain).zip(output.par_chunks_mut(grain));
    tasks.for_each(|(input, output)| norm_rows(input, weight, epsilon, output));
}

/// `gate = silu(gate) * up`, element by element.
pub(super) fn swiglu(gate: &mut [f32], up: &[f32]) {
    gate.par_chunks_mut(GRAIN).zip(up.par_chunks(GRAIN)).for_each(|(gate, up)| gate_values(gate, up));
}

/// `gate = gelu(gate) * up` with GELU by tanh, element by element.
pub(super) fn geglu(gate: &mut [f32], up: &[f32]) {
    gate.par_chunks_mut(GRAIN).zip(up.par_chunks(GRAIN)).for_each(|(gate, up)| gelu_values(gate, up));
}

vectorised! {
    fn norm_rows(input: &[f32], weight: &[f32], epsilon: f32, output: &mut [f32]) {
        let width = weight.len();
        for (row, normed) in input.chunks_exact(width).zip(output.chunks_exact_mut(width)) {
            let scale = 1.0 / (dot_inline(row, row) / width as f32 + epsilon).sqrt();
            for ((value, weight), normed) in row.iter().zip(weight).zip(normed) {
                *normed = value * scale * weight;
            }
        }
    }
}

vectorised! {
    fn gate_values(gate: &mut [f32], up: &[f32]) {
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate = *gate / (1.0 + exp_inline(-*gate)) * up;
        }
    }
}

vectorised! {
    fn gelu_values(gate: &mut [f32], up: &[f32]) {
        // 0.5 x (1 + tanh(u)) = x / (1 + e^-2u), with u = sqrt(2 / pi) (x + 0.044715 x^3).
        const TWO_ROOT: f32 = 1.595_769;
        for (gate, up) in gate.iter_mut().zip(up) {
            let x = *gate;
            let cubed = (0.044_715 * x * x).mul_add(x, x);
            *gate = x / (1.0 + exp_inline(-TWO_ROOT * cubed)) * up;
        }
    }
}

vectorised! {
    /// `values *= factor`, element by element.
    pub(super) fn scale(values: &mut [f32], factor: f32) {
        for value in values {
            *value *= factor;
        }
    }
}

vectorised! {
    /// `sum += term`, element by element.
    pub(super) fn add(sum: &mut [f32], term: &[f32]) {
        for (sum, term) in sum.iter_mut().zip(term) {
            *sum += term;
        }
    }
}

vectorised! {
    /// Dot products of one row with several rows of the same width: `output[i] = row . rows[i]`.
    pub(super) fn dot_rows(row: &[f32], rows: &[f32], output: &mut [f32]) {
        for (output, other) in output.iter_mut().zip(rows.chunks_exact(row.len())) {
            *output = dot_inline(row, other);
        }
    }
}

vectorised! {
    /// `sum += factor * term`, element by element.
    pub(super) fn add_scaled(sum: &mut [f32], factor: f32, term: &[f32]) {
        for (sum, term) in sum.iter_mut().zip(term) {
            *sum = term.mul_add(factor, *sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    vectorised! {
        fn exp_all(values: &mut [f32]) {
            for value in values {
                *value = exp_inline(*value);
            }
        }
    }

    #[test]
    fn exp_is_close_to_the_true_one_everywhere() {
        let inputs: Vec<f32> = (-8700..=8790i16).map(|i| f32::from(i) / 100.0 + 0.001_3).collect();
        let mut outputs = inputs.clone();
        exp_all(&mut outputs);
        for (x, y) in inputs.iter().zip(&outputs) {
            let truth = f64::from(*x).exp();
            assert!((f64::from(*y) / truth - 1.0).abs() < 3e-7, "exp({x}) = {y}, not {truth}");
        }
        let mut edges = [f32::NEG_INFINITY, -1000.0, 0.0];
        exp_all(&mut edges);
        assert_eq!(edges.map(f32::to_bits), [0.0f32, 0.0, 1.0].map(f32::to_bits));
    }

    #[test]
    fn dot_products_of_any_width_agree_with_a_plain_sum() {
        for width in [1usize, 7, 31, 32, 33, 64, 100, 576] {
            let left: Vec<f32> = (0..width).map(|i| (i as f32 * 0.37).sin()).collect();
            let right: Vec<f32> = (0..width).map(|i| (i as f32 * 0.11).cos()).collect();
            let truth: f64 = left.iter().zip(&right).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let mut output = [0.0];
            dot_rows(&left, &right, &mut output);
            assert!((f64::from(output[0]) - truth).abs() < 1e-4, "{width}: {} against {truth}", output[0]);
        }
    }

    #[test]
    fn swiglu_and_norm_follow_their_formulas() {
        let mut gate = vec![-3.0, 0.0, 2.5];
        swiglu(&mut gate, &[2.0, 5.0, -1.0]);
        let truth = [-3.0 / (1.0 + 3f32.exp()) * 2.0, 0.0, -2.5 / (1.0 + (-2.5f32).exp())];
        for (got, want) in gate.iter().zip(truth) {
            assert!((got - want).abs() < 1e-6, "{got} against {want}");
        }
        let mut gate = vec![-3.0, 0.0, 2.5];
        geglu(&mut gate, &[2.0, 5.0, -1.0]);
        let gelu = |x: f32| 0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x.powi(3))).tanh());
        for (got, want) in gate.iter().zip([gelu(-3.0) * 2.0, 0.0, -gelu(2.5)]) {
            assert!((got - want).abs() < 1e-6, "{got} against {want}");
        }
        let mut normed = [0.0; 2];
        rms_norm(&[3.0, 4.0], &[1.0, 2.0], 0.0, &mut normed);
        let scale = 1.0 / 12.5f32.sqrt();
        assert!((normed[0] - 3.0 * scale).abs() < 1e-6 && (normed[1] - 8.0 * scale).abs() < 1e-6);
    }
}
