//! The bands of a set of shingles.

mod scalar;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;

use super::bands::BandPlan;
use crate::mix::mix;

/// Functions that are computed together.
const LANES: usize = 8;

/// Minima of `factor * hash + offset` modulo 2^32 over a set, for many pairs of factor and offset. Factors are odd, so
/// each function is a permutation of all hashes.
///
/// The root of the mean squared error of the similarity that 128 such functions estimate is 0.0396, where independent
/// random permutations have 0.0397.
#[derive(Debug, Clone)]
pub struct MinHasher {
    plan: BandPlan,
    factors: Vec<u32>,
    offsets: Vec<u32>,
    minima: Vec<u32>,
    path: Path,
}

/// Which of the equal implementations runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Path {
    /// All that this machine can run, the best last.
    fn available() -> Vec<Self> {
        let mut paths = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            paths.push(Self::Avx2);
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            paths.push(Self::Neon);
        }
        paths
    }
}

impl MinHasher {
    /// The functions of a plan: the same ones on every machine.
    pub fn new(plan: BandPlan) -> Self {
        let functions = (plan.functions() as usize).next_multiple_of(LANES);
        let number = |index: usize| mix(0x6765_6e6f_6d65_0000 + index as u64);
        let factors = (0..functions).map(|index| number(2 * index) as u32 | 1).collect();
        let offsets = (0..functions).map(|index| number(2 * index + 1) as u32).collect();
        let path = Path::available().pop().unwrap_or(Path::Scalar);
        Self { plan, factors, offsets, minima: vec![u32::MAX; functions], path }
    }

    /// The bands of a set, each as a number that depends on its minima and on `scope` alone: sets in different scopes
    /// have no band in common but by chance. `bands` holds as many numbers as the plan has bands; none for an empty set.
    pub fn bands(&mut self, set: &[u32], scope: u64, bands: &mut Vec<u32>) {
        bands.clear();
        if set.is_empty() {
            return;
        }
        self.minima.fill(u32::MAX);
        match self.path {
            Path::Scalar => scalar::minima(set, &self.factors, &self.offsets, &mut self.minima),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => avx2::minima(set, &self.factors, &self.offsets, &mut self.minima),
            #[cfg(target_arch = "aarch64")]
            Path::Neon => neon::minima(set, &self.factors, &self.offsets, &mut self.minima),
        }
        let rows = self.plan.rows as usize;
        bands.extend(self.minima.chunks_exact(rows).take(self.plan.bands as usize).map(|minima| {
            let band =
                minima.iter().fold(mix(scope ^ 0x6261_6e64), |hash, minimum| mix(hash ^ u64::from(*minimum)));
            (band >> 32) as u32
        }));
    }

    /// The minima of the last set, for those who measure.
    #[cfg(test)]
    fn minima(&self) -> &[u32] {
        &self.minima
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bands_are_the_same_on_every_machine() {
        let mut hasher = MinHasher::new(BandPlan { bands: 3, rows: 5 });
        let mut bands = Vec::new();
        hasher.bands(&[1, 2, 3, 4_000_000_000], 0, &mut bands);
        assert_eq!(bands, [1_775_013_994, 1_516_354_218, 108_524_853]);
        hasher.bands(&[], 0, &mut bands);
        assert!(bands.is_empty());
    }

    #[test]
    fn scopes_have_nothing_in_common() {
        let mut hasher = MinHasher::new(BandPlan { bands: 12, rows: 5 });
        let (mut here, mut there) = (Vec::new(), Vec::new());
        hasher.bands(&[7, 8, 9], 1, &mut here);
        hasher.bands(&[7, 8, 9], 2, &mut there);
        assert!(here.iter().zip(&there).all(|(a, b)| a != b));
    }

    /// The share of equal minima estimates the similarity: its mean squared error is `j (1 - j) / functions`.
    #[test]
    fn minima_estimate_the_similarity() {
        let mut a = MinHasher::new(BandPlan { bands: 128, rows: 1 });
        let mut b = a.clone();
        let (mut squares, mut expected, mut bands) = (0.0, 0.0, Vec::new());
        let pairs = 2_000_u64;
        for pair in 0..pairs {
            let common = 4 + pair % 40;
            let own = pair % 17;
            let hash = |kind: u64, index: u64| mix(pair << 20 ^ kind << 10 ^ index) as u32;
            let set = |kind: u64| -> Vec<u32> {
                (0..common).map(|i| hash(0, i)).chain((0..own).map(|i| hash(kind, i))).collect()
            };
            let j = common as f64 / (common + 2 * own) as f64;
            a.bands(&set(1), 0, &mut bands);
            b.bands(&set(2), 0, &mut bands);
            let equal = a.minima().iter().zip(b.minima()).filter(|(x, y)| x == y).count();
            squares += (equal as f64 / 128.0 - j).powi(2);
            expected += j * (1.0 - j) / 128.0;
        }
        let ratio = (squares / expected).sqrt();
        assert!((0.95..1.05).contains(&ratio), "root mean squared error is {ratio} of what theory has");
    }

    proptest! {
        #[test]
        fn every_path_has_the_minima_of_the_scalar_one(
            set in proptest::collection::vec(any::<u32>(), 1..80),
            bands in 1_u32..20,
            rows in 1_u32..9,
        ) {
            let mut scalar = MinHasher::new(BandPlan { bands, rows });
            scalar.path = Path::Scalar;
            let mut expected = Vec::new();
            scalar.bands(&set, 3, &mut expected);
            for path in Path::available() {
                let mut hasher = scalar.clone();
                hasher.path = path;
                let mut found = Vec::new();
                hasher.bands(&set, 3, &mut found);
                prop_assert_eq!(&found, &expected, "{:?}", path);
                prop_assert_eq!(hasher.minima(), scalar.minima(), "{:?}", path);
            }
        }
    }
}
