//! Which texts share a band with another.

use rayon::prelude::*;

use super::bits::HashBits;
use super::{from_bytes, to_bytes};
use crate::KernelError;

/// In how many turns the bands are looked through.
const TURNS: usize = 4;

/// Collects the bands of texts, 4 bytes for each and 4 for the text, and tells which texts have one that another text
/// has in the same place. Of texts that are given, such as those of an earlier run, only bands that they share with others
/// count, not those that they share among themselves.
///
/// Texts are told apart by 32 bits: two that are alike in these by chance hide a band that only they share, once in 4
/// thousand million pairs. Bands that are alike by chance make a text seem to share one, which costs a comparison.
#[derive(Debug, Clone, Default)]
pub struct BandTable {
    /// Bands of each text, once one is known.
    bands: usize,
    /// Text and bands, text after text.
    numbers: Vec<u32>,
    /// The same of given texts.
    given: Vec<u32>,
}

impl BandTable {
    /// Adds a text with its bands.
    ///
    /// # Errors
    /// It has another number of bands than the texts before.
    pub fn add(&mut self, text: u32, bands: impl ExactSizeIterator<Item = u32>) -> Result<(), KernelError> {
        self.expect(bands.len())?;
        self.numbers.push(text);
        self.numbers.extend(bands);
        Ok(())
    }

    /// Adds a given text with its bands.
    ///
    /// # Errors
    /// As [`BandTable::add`].
    pub fn add_given(
        &mut self,
        text: u32,
        bands: impl ExactSizeIterator<Item = u32>,
    ) -> Result<(), KernelError> {
        self.expect(bands.len())?;
        self.given.push(text);
        self.given.extend(bands);
        Ok(())
    }

    fn expect(&mut self, bands: usize) -> Result<(), KernelError> {
        if self.numbers.is_empty() && self.given.is_empty() {
            self.bands = bands;
        } else if self.bands != bands {
            let message = format!("a text has {bands} bands, and others have {}", self.bands);
            return Err(KernelError::Argument(message));
        }
        Ok(())
    }

    /// All that was added as bytes, for [`BandTable::merge_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = [self.bands as u32, (self.given.len() / (self.bands + 1)) as u32];
        to_bytes(&head).chain(to_bytes(&self.given)).chain(to_bytes(&self.numbers)).collect()
    }

    /// Adds the texts of another.
    ///
    /// # Errors
    /// The bytes are not what [`BandTable::to_bytes`] gave, or the texts have another number of bands.
    pub fn merge_bytes(&mut self, bytes: &[u8]) -> Result<(), KernelError> {
        let broken = || KernelError::Argument("a table of bands ends in the middle of a text".to_owned());
        let (head, texts) = bytes.split_at_checked(8).ok_or_else(broken)?;
        let mut head = from_bytes(head).map(|number| number as usize);
        let (bands, given) = (head.next().unwrap_or_default(), head.next().unwrap_or_default());
        let text_bytes = 4 * (bands + 1);
        let (given, texts) = texts.split_at_checked(given * text_bytes).ok_or_else(broken)?;
        if texts.len() % text_bytes != 0 {
            return Err(broken());
        }
        for text in given.chunks_exact(text_bytes) {
            let mut numbers = from_bytes(text);
            self.add_given(numbers.next().unwrap_or_default(), numbers)?;
        }
        for text in texts.chunks_exact(text_bytes) {
            let mut numbers = from_bytes(text);
            self.add(numbers.next().unwrap_or_default(), numbers)?;
        }
        Ok(())
    }

    /// Bytes that it takes, without what [`BandTable::sharing`] takes beside it.
    pub fn size(&self) -> usize {
        (self.numbers.capacity() + self.given.capacity()) * size_of::<u32>()
    }

    /// The texts that share a band with another, ascending and distinct.
    ///
    /// A quarter of the bands is sorted at a time, 8 bytes for each text beside 2 to 4 of a table of bits. However many threads
    /// there are, that is about what the table itself takes, if it has four bands or more.
    pub fn sharing(&self) -> Vec<u32> {
        let places: Vec<usize> = (1..=self.bands).collect();
        let mut texts: Vec<u32> = Vec::new();
        for places in places.chunks(self.bands.div_ceil(TURNS).max(1)) {
            let found: Vec<Vec<u32>> = places.par_iter().map(|band| self.sharing_in(*band)).collect();
            texts.extend(found.into_iter().flatten());
            texts.par_sort_unstable();
            texts.dedup();
        }
        texts
    }

    /// The texts that share the band in one place, from 1, with another.
    fn sharing_in(&self, band: usize) -> Vec<u32> {
        let of_text = |text: &[u32]| u64::from(text[band]) << 32 | u64::from(text[0]);
        let sorted = |mut pairs: Vec<u64>| {
            pairs.par_sort_unstable();
            pairs.dedup();
            pairs
        };
        let pairs = sorted(self.numbers.chunks_exact(self.bands + 1).map(of_text).collect());
        // Most given texts share nothing: a table of bits passes over them.
        let bits = HashBits::of(pairs.iter().map(|pair| pair >> 32));
        let given =
            self.given.chunks_exact(self.bands + 1).filter(|text| bits.may_have(u64::from(text[band])));
        let given = sorted(given.map(of_text).collect());
        let mut given = given.as_slice();
        let mut sharing = Vec::new();
        for group in pairs.chunk_by(|a, b| a >> 32 == b >> 32) {
            let band = group[0] >> 32;
            let before = given.iter().take_while(|pair| *pair >> 32 < band).count();
            let same = given[before..].iter().take_while(|pair| *pair >> 32 == band).count();
            let (of_band, rest) = given[before..].split_at(same);
            given = rest;
            if group.len() + same > 1 {
                sharing.extend(group.iter().chain(of_band).map(|pair| *pair as u32));
            }
        }
        sharing
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
            texts in proptest::collection::vec((0_u32..20, [0_u32..12, 0..4000, 0..9]), 0..40),
            given_from in 10_u32..30,
            cut in 0_usize..40,
        ) {
            let is_given = |text: &u32| *text >= given_from;
            let mut truth: BTreeMap<(usize, u32), BTreeSet<u32>> = BTreeMap::new();
            for (text, bands) in &texts {
                for (place, band) in bands.iter().enumerate() {
                    truth.entry((place, *band)).or_default().insert(*text);
                }
            }
            let shared = truth.into_values().filter(|texts| texts.len() > 1 && !texts.iter().all(is_given));
            let shared: BTreeSet<u32> = shared.flatten().collect();
            let (one, other) = texts.split_at(cut.min(texts.len()));
            let collect = |texts: &[(u32, [u32; 3])]| {
                let mut table = BandTable::default();
                for (text, bands) in texts {
                    let bands = bands.iter().copied();
                    if is_given(text) { table.add_given(*text, bands) } else { table.add(*text, bands) }.unwrap();
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
        assert!(table.add_given(2, [1].into_iter()).is_err());
    }
}
