//! A small seeded generator for weights. Its stream is part of the program's results and never changes.

/// Steele, Lea and Flood's `SplitMix64` (OOPSLA 2014).
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `-1.0..1.0`.
    pub(crate) fn symmetric(&mut self) -> f32 {
        let bits = u32::try_from(self.next() >> 40).unwrap_or(0);
        bits as f32 / (1u32 << 23) as f32 - 1.0
    }

    /// Roughly normal with mean 0 and variance 1: a sum of uniform numbers, which needs no logarithm and so has the
    /// same bits on every platform.
    pub(crate) fn normal(&mut self) -> f32 {
        let sum: f32 = (0..12).map(|_| self.symmetric()).sum();
        sum * 0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_is_the_published_one() {
        let mut rng = SplitMix64::new(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| rng.next()).collect();
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn normal_has_unit_variance() {
        let mut rng = SplitMix64::new(5);
        let drawn: Vec<f32> = (0..20_000).map(|_| rng.normal()).collect();
        let mean = drawn.iter().sum::<f32>() / 20_000.0;
        let variance = drawn.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }
}
