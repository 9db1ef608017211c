//! What counts as nearly the same text.

use std::num::NonZeroUsize;

use genome_kernels::dedup::bands::BandPlan;
use genome_kernels::dedup::shingle::Shingle;
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whether texts that are nearly the same are looked for, and which these are: `"off"`, or a table of [`Near`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NearConfig {
    /// They are not looked for.
    Off,
    /// They are.
    On(Near),
}

/// Texts are nearly the same if their sets of shingles have at least this Jaccard similarity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Near {
    /// The least similarity, above 0 and at most 1. 0.8 of runs of five words is what the tools of the field take for web
    /// texts; `PersonaHub` takes 0.9 of single words (papers' section 5).
    pub threshold: f64,
    /// What texts are cut into. Texts shorter than that are nearly the same as no other.
    pub shingle: Shingle,
    /// The least share of pairs at the threshold that are found, above 0 and below 1; those above it are found more often.
    pub recall: f64,
}

impl Default for Near {
    fn default() -> Self {
        const WORDS: NonZeroUsize = NonZeroUsize::new(5).unwrap();
        Self { threshold: 0.8, shingle: Shingle::Words(WORDS), recall: 0.99 }
    }
}

impl Default for NearConfig {
    fn default() -> Self {
        Self::On(Near::default())
    }
}

impl Near {
    /// Bands and rows that give the recall.
    pub fn bands(&self) -> BandPlan {
        BandPlan::for_recall(self.threshold, self.recall)
    }
}

impl NearConfig {
    /// The least similarity, if any is looked for.
    pub(crate) const fn threshold(&self) -> Option<f64> {
        match self {
            Self::Off => None,
            Self::On(near) => Some(near.threshold),
        }
    }

    /// What has to be known of each text.
    pub(crate) fn signature(&self) -> Option<(Shingle, BandPlan)> {
        match self {
            Self::Off => None,
            Self::On(near) => Some((near.shingle, near.bands())),
        }
    }

    /// What share of pairs is found.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let Self::On(near) = self else { return Vec::new() };
        let plan = near.bands();
        let found = |similarity: f64| format!("{:.1} %", 100.0 * plan.proposed(similarity));
        let (at, above) = (near.threshold, f64::midpoint(near.threshold, 1.0));
        vec![
            format!(
                "{} bands of {} hash functions: of pairs of similarity {at:.2} {} are found, of {above:.2} {}",
                plan.bands,
                plan.rows,
                found(at),
                found(above)
            ),
            format!(
                "of pairs of similarity {:.2} {} are compared for nothing, of {:.2} {}",
                at / 2.0,
                found(at / 2.0),
                at / 4.0,
                found(at / 4.0)
            ),
        ]
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        let Self::On(near) = self else { return Vec::new() };
        let mut problems = Vec::new();
        if !(near.threshold > 0.0 && near.threshold <= 1.0) {
            problems.push(format!("threshold must be above 0 and at most 1, not {}", near.threshold));
        }
        if !(near.recall > 0.0 && near.recall < 1.0) {
            problems.push(format!("recall must be above 0 and below 1, not {}", near.recall));
        }
        let (Shingle::Words(len) | Shingle::Characters(len)) = near.shingle;
        if len.get() > 64 {
            problems.push(format!("shingle must be at most 64 long, not {len}"));
        }
        problems
    }
}

impl Serialize for NearConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::On(near) => near.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for NearConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OffOrTable;
        impl<'de> Visitor<'de> for OffOrTable {
            type Value = NearConfig;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"off\", or a table such as { threshold = 0.8 }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<NearConfig, E> {
                if text == "off" {
                    Ok(NearConfig::Off)
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NearConfig, A::Error> {
                Near::deserialize(MapAccessDeserializer::new(map)).map(NearConfig::On)
            }
        }
        deserializer.deserialize_any(OffOrTable)
    }
}
