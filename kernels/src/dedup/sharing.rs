//! Which texts share a band with another.

use rayon::prelude::*;

use super::{from_bytes, to_bytes};
use crate::KernelError;

/// Collects the bands of texts, 4 bytes for each and 4 for the text, and tells which texts have one that another text
/// has in the same place.
///
/// Texts are told apart by 32 bits: two that are alike in these by chance hide a band that only they share, once in 4
/// thousand million pairs. Bands that are alike by chance make a text seem to share one, which costs a comparison.
#[derive(Debug, Clone, Default)]
pub struct BandTable {
    /// Bands of each text, once one is known.
    bands: usize,
    /// Text and bands, text after text.
    numbers: Vec<u32>,
}

impl BandTable {
    /// Adds a text with its bands.
    ///
    /// # Errors
    /// It has another number of bands than the texts before.
    pub fn add(&mut self, text: u32, bands: impl ExactSizeIterator<Item = u32>) -> Result<(), KernelError> {
        if self.numbers.is_empty() {
            self.bands = bands.len();
        } else if self.bands != bands.len() {
            let message = format!("a text has {} bands, and others have {}", bands.len(), self.bands);
            return Err(KernelError::Argument(message));
        }
        self.numbers.push(text);
        self.numbers.extend(bands);
        Ok(())
    }

    /// All that was added as bytes, for [`BandTable::merge_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(&[self.bands as u32]).chain(to_bytes(&self.numbers)).collect()
    }

    /// Adds the texts of another.
    ///
    /// # Errors
    /// The bytes are not what [`BandTable::to_bytes`] gave, or the texts have another number of bands.
    pub fn merge_bytes(&mut self, bytes: &[u8]) -> Result<(), KernelError> {
        let broken = || KernelError::Argument("a table of bands ends in the middle of a text".to_owned());
        let (bands, texts) = bytes.split_at_checked(4).ok_or_else(broken)?;
        let bands = from_bytes(bands).next().unwrap_or_default() as usize;
        if texts.len() % (4 * (bands + 1)) != 0 {
            return Err(broken());
        }
        for text in texts.chunks_exact(4 * (bands + 1)) {
            let mut numbers = from_bytes(text);
            self.add(numbers.next().unwrap_or_default(), numbers)?;
        }
        Ok(())
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        self.numbers.capacity() * size_of::<u32>()
    }

    /// The texts that share a band with another, ascending and distinct.
    pub fn sharing(&self) -> Vec<u32> {
        let sharing = (1..=self.bands).into_par_iter().map(|band| {
            let of_text = |text: &[u32]| u64::from(text[band]) << 32 | u64::from(text[0]);
            let mut pairs: Vec<u64> = self.numbers.chunks_exact(self.bands + 1).map(of_text).collect();
            pairs.sort_unstable();
            pairs.dedup();
            let groups = pairs.chunk_by(|a, b| a >> 32 == b >> 32).filter(|group| group.len() > 1);
            groups.flatten().map(|pair| *pair as u32).collect::<Vec<u32>>()
        });
        let mut texts: Vec<u32> = sharing.flatten().collect();
        texts.par_sort_unstable();
        texts.dedup();
        texts
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_share_what_a_map_of_sets_says(
            texts in proptest::collection::vec((0_u32..20, [0_u32..12, 0..40, 0..9]), 0..40),
            cut in 0_usize..40,
        ) {
            let mut truth: BTreeMap<(usize, u32), BTreeSet<u32>> = BTreeMap::new();
            for (text, bands) in &texts {
                for (place, band) in bands.iter().enumerate() {
                    truth.entry((place, *band)).or_default().insert(*text);
                }
            }
            let shared: BTreeSet<u32> = truth.into_values().filter(|texts| texts.len() > 1).flatten().collect();
            let (one, other) = texts.split_at(cut.min(texts.len()));
            let collect = |texts: &[(u32, [u32; 3])]| {
                let mut table = BandTable::default();
                for (text, bands) in texts {
                    table.add(*text, bands.iter().copied()).unwrap();
                }
                table
            };
            let mut all = collect(one);
            all.merge_bytes(&collect(other).to_bytes()).unwrap();
            prop_assert_eq!(all.sharing(), shared.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn texts_of_different_plans_are_not_mixed() {
        let mut table = BandTable::default();
        table.add(1, [1, 2].into_iter()).unwrap();
        assert!(table.add(2, [1].into_iter()).is_err());
        assert!(table.merge_bytes(&[1, 0]).is_err());
        let bytes = table.to_bytes();
        assert!(table.merge_bytes(&bytes[..11]).is_err());
    }
}
