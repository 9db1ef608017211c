//! How many hash functions, in bands of how many rows, a wanted recall takes.

use serde::Serialize;

/// Most hash functions of a plan.
pub const MAX_FUNCTIONS: u32 = 256;

/// Largest wanted share of pairs half as alike as the threshold that a plan proposes.
const FALSE_CANDIDATES: f64 = 0.12;

/// A signature of `bands` times `rows` minima, cut into bands.
///
/// One hash function has the same minimum on two sets with the probability of their Jaccard similarity `j` (Broder,
/// "On the resemblance and containment of documents", 1997). So all `rows` of a band agree with `j^rows`, and a pair
/// is proposed, that is, agrees in at least one of `bands` bands, with
///
/// ```text
/// p(j) = 1 - (1 - j^rows)^bands
/// ```
///
/// (Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct BandPlan {
    /// Bands.
    pub bands: u32,
    /// Hash functions of each band.
    pub rows: u32,
}

impl BandPlan {
    /// The plan with the fewest hash functions that proposes at least `recall` of the pairs of similarity `threshold`
    /// and at most 12 % of those of half of it. If none of [`MAX_FUNCTIONS`] or fewer does, the one that proposes the
    /// fewest of the latter.
    ///
    /// `threshold` lies above 0 and is at most 1, `recall` lies above 0 and below 1; others are brought there.
    pub fn for_recall(threshold: f64, recall: f64) -> Self {
        let threshold = threshold.clamp(0.01, 1.0);
        let recall = recall.clamp(0.01, 0.999_999);
        let plans = (1..=32).filter_map(|rows| {
            let agree = threshold.powf(f64::from(rows));
            // 1 - (1 - agree)^bands >= recall
            let bands = if agree >= 1.0 { 1.0 } else { ((1.0 - recall).ln() / (-agree).ln_1p()).ceil() };
            // Above the limit it is no plan, however far above.
            let bands = if bands <= f64::from(MAX_FUNCTIONS) { bands as u32 } else { return None };
            (bands * rows <= MAX_FUNCTIONS).then_some(Self { bands: bands.max(1), rows })
        });
        let plans: Vec<Self> = plans.collect();
        let false_share = |plan: &Self| plan.proposed(threshold / 2.0);
        let good = plans.iter().filter(|plan| false_share(plan) <= FALSE_CANDIDATES);
        let fewest = good.min_by_key(|plan| (plan.functions(), plan.rows));
        let best = || plans.iter().min_by(|a, b| false_share(a).total_cmp(&false_share(b)));
        fewest.or_else(best).copied().unwrap_or(Self { bands: MAX_FUNCTIONS, rows: 1 })
    }

    /// Hash functions.
    pub const fn functions(&self) -> u32 {
        self.bands * self.rows
    }

    /// The probability that a pair of a Jaccard similarity is proposed, `0.0..=1.0`.
    pub fn proposed(&self, similarity: f64) -> f64 {
        1.0 - (1.0 - similarity.powf(f64::from(self.rows))).powf(f64::from(self.bands))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_have_the_wanted_recall() {
        for threshold in [0.3, 0.5, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0] {
            for recall in [0.5, 0.9, 0.95, 0.99, 0.999] {
                let plan = BandPlan::for_recall(threshold, recall);
                assert!(plan.functions() <= MAX_FUNCTIONS, "{threshold} {recall} {plan:?}");
                assert!(plan.proposed(threshold) >= recall - 1e-12, "{threshold} {recall} {plan:?}");
            }
        }
    }

    #[test]
    fn known_plans() {
        for (threshold, recall, bands, rows) in
            [(0.8, 0.99, 12, 5), (0.9, 0.99, 6, 5), (0.5, 0.99, 35, 3), (1.0, 0.99, 1, 4), (0.8, 0.9, 6, 5)]
        {
            assert_eq!(
                BandPlan::for_recall(threshold, recall),
                BandPlan { bands, rows },
                "{threshold} {recall}"
            );
        }
        // The setting of the peers: 14 bands of 8.
        let peers = BandPlan { bands: 14, rows: 8 };
        assert!((peers.proposed(0.8) - 0.9236).abs() < 1e-4);
    }
}
