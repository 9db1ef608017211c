//! Texts of like meaning, by their vectors.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::survivors::Digest;
use super::{from_bytes, to_bytes};
use crate::KernelError;

/// Texts to a cluster, about: what is compared with each other.
const CLUSTER_TEXTS: usize = 2048;

/// Texts from which the centres are found, for each cluster.
const SAMPLE_PER_CLUSTER: usize = 64;

/// Rounds in which the centres are moved.
const ROUNDS: usize = 8;

/// Clusters in which a text is looked for: that of the nearest centre, in which it is put if it stays, and the next.
const PROBES: usize = 2;

/// Texts that are compared at once.
const BLOCK: usize = 1024;

/// Vectors of which each is held against those that stay of the ones before it in its cluster, as in `SemDeDup` (Abbas et al.
/// 2023).
///
/// Vectors are of length 1, so that their product is the cosine between them. They are clustered by spherical k-means
/// from a fixed choice of the vectors, about 2,000 to a cluster; fewer than twice as many are one cluster, in which nothing
/// is missed. In order of precedence, a vector leaves if one that stays in the cluster nearest to it, or in the next, has at
/// least the threshold's cosine with it. Other pairs are missed.
///
/// All vectors are held: 4 bytes for each number, and about 100 for each text.
#[derive(Debug, Default)]
pub struct Vectors {
    width: usize,
    numbers: Vec<f32>,
    texts: Vec<Standing>,
    precedences: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    digest: Digest,
    at: usize,
    len: u32,
}

/// A text with its product with another.
type Alike = (u32, f32);

/// A text that leaves, and the one of like meaning that stays.
#[derive(Debug, Clone, PartialEq)]
pub struct SemanticRepeat<'a> {
    /// The text that leaves.
    pub digest: Digest,
    /// Precedence of the text that stays: the most similar one; of several, the first.
    pub survivor: &'a [u8],
    /// The cosine between the two.
    pub similarity: f64,
}

impl Vectors {
    /// Adds a text: its place in the order (bytes are compared), what tells it from others, and its vector.
    ///
    /// # Errors
    /// The vector is not as wide as those before.
    pub fn add(&mut self, precedence: &[u8], digest: Digest, vector: &[f32]) -> Result<(), KernelError> {
        if self.texts.is_empty() {
            self.width = vector.len();
        } else if self.width != vector.len() {
            let message = format!("a vector has {} numbers, and others have {}", vector.len(), self.width);
            return Err(KernelError::Argument(message));
        }
        self.numbers.extend_from_slice(vector);
        let text = Standing { digest, at: self.precedences.len(), len: precedence.len() as u32 };
        self.precedences.extend_from_slice(precedence);
        self.texts.push(text);
        Ok(())
    }

    /// All texts as bytes, for [`Vectors::merge_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.numbers.len() * 4 + self.texts.len() * 80);
        for (number, text) in self.texts.iter().enumerate() {
            bytes.extend(to_bytes(&[self.width as u32, text.len]));
            bytes.extend_from_slice(self.precedence(number));
            bytes.extend_from_slice(&text.digest);
            bytes.extend(self.vector(number).iter().flat_map(|value| value.to_le_bytes()));
        }
        bytes
    }

    /// Adds the texts of another.
    ///
    /// # Errors
    /// The bytes are not what [`Vectors::to_bytes`] gave.
    pub fn merge_bytes(&mut self, mut bytes: &[u8]) -> Result<(), KernelError> {
        fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], KernelError> {
            let (taken, rest) = bytes
                .split_at_checked(len)
                .ok_or_else(|| KernelError::Argument("vectors end in the middle of one".to_owned()))?;
            *bytes = rest;
            Ok(taken)
        }
        let mut vector = Vec::new();
        while !bytes.is_empty() {
            let mut lens = from_bytes(take(&mut bytes, 8)?).map(|len| len as usize);
            let (width, len) = (lens.next().unwrap_or_default(), lens.next().unwrap_or_default());
            let precedence = take(&mut bytes, len)?;
            let mut digest = Digest::default();
            digest.copy_from_slice(take(&mut bytes, size_of::<Digest>())?);
            vector.clear();
            vector.extend(from_bytes(take(&mut bytes, width * 4)?).map(f32::from_bits));
            self.add(precedence, digest, &vector)?;
        }
        Ok(())
    }

    /// Bytes that the texts take.
    pub fn size(&self) -> usize {
        self.numbers.capacity() * 4
            + self.precedences.capacity()
            + self.texts.capacity() * size_of::<Standing>()
    }

    /// The texts that leave, in order of precedence. `threshold` lies above 0 and is at most 1.
    pub fn repeats(&self, threshold: f32) -> Vec<SemanticRepeat<'_>> {
        let mut order: Vec<u32> = (0..self.texts.len() as u32).collect();
        order.par_sort_unstable_by(|a, b| self.precedence(*a as usize).cmp(self.precedence(*b as usize)));
        let centres = self.centres();
        let mut staying: Vec<Vec<u32>> = vec![Vec::new(); centres.len() / self.width.max(1)];
        let mut leaving = Vec::new();
        for block in order.chunks(BLOCK) {
            // Against what stays of the blocks before, all at once; then one by one against what stays of this one.
            let looked_at: Vec<([u32; PROBES], Option<Alike>)> = block
                .par_iter()
                .map(|text| {
                    let vector = self.vector(*text as usize);
                    let clusters = nearest(&centres, self.width, vector);
                    let before = probed(&clusters).flat_map(|cluster| &staying[cluster]);
                    (clusters, self.most_alike(vector, before, None))
                })
                .collect();
            let before: Vec<usize> = staying.iter().map(Vec::len).collect();
            for (text, (clusters, best)) in block.iter().zip(looked_at) {
                let fresh = probed(&clusters).flat_map(|cluster| &staying[cluster][before[cluster]..]);
                match self.most_alike(self.vector(*text as usize), fresh, best) {
                    Some((survivor, similarity)) if similarity >= threshold => {
                        leaving.push((*text, survivor, similarity.min(1.0)));
                    }
                    _ => staying[clusters[0] as usize].push(*text),
                }
            }
        }
        let repeat = |(text, survivor, similarity): (u32, u32, f32)| SemanticRepeat {
            digest: self.texts[text as usize].digest,
            survivor: self.precedence(survivor as usize),
            similarity: f64::from(similarity),
        };
        leaving.into_iter().map(repeat).collect()
    }

    /// The text with the largest product with a vector, or the one known before; of equal ones the first by precedence.
    fn most_alike<'a>(
        &self,
        vector: &[f32],
        others: impl Iterator<Item = &'a u32>,
        known: Option<Alike>,
    ) -> Option<Alike> {
        let alike = others.map(|other| (*other, product(vector, self.vector(*other as usize))));
        known.into_iter().chain(alike).reduce(|best, other| {
            let is_earlier = || self.precedence(other.0 as usize) < self.precedence(best.0 as usize);
            match other.1.total_cmp(&best.1) {
                Ordering::Greater => other,
                Ordering::Equal if is_earlier() => other,
                _ => best,
            }
        })
    }

    /// The centres of clusters, one after another.
    fn centres(&self) -> Vec<f32> {
        let clusters = (self.texts.len() / CLUSTER_TEXTS).max(1);
        if clusters == 1 {
            return vec![0.0; self.width.max(1)];
        }
        // Digests are as good as random: the sample is the same whatever the order of rows.
        let mut sample: Vec<u32> = (0..self.texts.len() as u32).collect();
        sample.par_sort_unstable_by_key(|text| (self.texts[*text as usize].digest, *text));
        sample.truncate(clusters * SAMPLE_PER_CLUSTER);
        let vectors: Vec<&[f32]> = sample.iter().map(|text| self.vector(*text as usize)).collect();
        let mut centres: Vec<f32> = vectors[..clusters].concat();
        for _ in 0..ROUNDS {
            let nearest: Vec<u32> =
                vectors.par_iter().map(|vector| nearest(&centres, self.width, vector)[0]).collect();
            let mut sums = vec![0.0; centres.len()];
            for (vector, cluster) in vectors.iter().zip(nearest) {
                let sum = &mut sums[cluster as usize * self.width..][..self.width];
                sum.iter_mut().zip(*vector).for_each(|(sum, value)| *sum += value);
            }
            for (centre, sum) in centres.chunks_exact_mut(self.width).zip(sums.chunks_exact(self.width)) {
                let length = product(sum, sum).sqrt();
                // A centre to which nothing is near stays where it is.
                if length > 0.0 {
                    centre.iter_mut().zip(sum).for_each(|(value, sum)| *value = sum / length);
                }
            }
        }
        centres
    }

    fn vector(&self, text: usize) -> &[f32] {
        &self.numbers[text * self.width..][..self.width]
    }

    fn precedence(&self, text: usize) -> &[u8] {
        let text = &self.texts[text];
        &self.precedences[text.at..][..text.len as usize]
    }
}

/// The centres with the largest products with a vector, the largest first; of equal ones the first. Where there are fewer,
/// the last is there once more, which then has nothing new.
fn nearest(centres: &[f32], width: usize, vector: &[f32]) -> [u32; PROBES] {
    let mut best = [(0_u32, f32::NEG_INFINITY); PROBES];
    for (number, centre) in (0_u32..).zip(centres.chunks_exact(width.max(1))) {
        let product = product(centre, vector);
        if let Some(place) = best.iter().position(|(_, known)| product > *known) {
            best[place..].rotate_right(1);
            best[place] = (number, product);
        }
    }
    best.map(|(number, _)| number)
}

/// Clusters that are looked through, each once.
fn probed(clusters: &[u32; PROBES]) -> impl Iterator<Item = usize> + '_ {
    let is_new = |at: usize| !clusters[..at].contains(&clusters[at]);
    (0..PROBES).filter(move |at| is_new(*at)).map(|at| clusters[at] as usize)
}

/// The product of two vectors, added up in eight lanes, in the same order on every machine.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (wide_a, rest_a) = a.as_chunks::<8>();
    let (wide_b, rest_b) = b.as_chunks::<8>();
    for (a, b) in wide_a.iter().zip(wide_b) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unit(values: &[f32]) -> Vec<f32> {
        let length = product(values, values).sqrt();
        values.iter().map(|value| value / length).collect()
    }

    /// Vectors around directions, with a little noise.
    fn vectors(count: usize, directions: usize, noise: f32, width: usize) -> Vec<Vec<f32>> {
        let mut state = 1_u64;
        let mut next = move || {
            state = crate::mix::mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        };
        let centres: Vec<Vec<f32>> = (0..directions).map(|_| (0..width).map(|_| next()).collect()).collect();
        let around = |number: usize| {
            let centre: &Vec<f32> = &centres[number % directions];
            centre.iter().map(|value| value + noise * next()).collect::<Vec<f32>>()
        };
        (0..count).map(around).map(|values| unit(&values)).collect()
    }

    fn collected(vectors: &[Vec<f32>], order: impl Iterator<Item = usize>) -> Vectors {
        let mut all = Vectors::default();
        for number in order {
            let mut digest = Digest::default();
            digest[..8].copy_from_slice(&crate::mix::mix(number as u64).to_le_bytes());
            all.add(&(number as u32).to_be_bytes(), digest, &vectors[number]).unwrap();
        }
        all
    }

    proptest! {
        #[test]
        fn texts_leave_as_the_definition_says(
            values in proptest::collection::vec(proptest::collection::vec(-1.0_f32..1.0, 9), 1..40),
            threshold in 0.3_f32..1.0,
            cut in 0_usize..40,
        ) {
            let vectors: Vec<Vec<f32>> = values.iter().map(|values| unit(values)).collect();
            let mut all = collected(&vectors, cut.min(vectors.len())..vectors.len());
            all.merge_bytes(&collected(&vectors, 0..cut.min(vectors.len())).to_bytes()).unwrap();
            let (mut staying, mut truth): (Vec<usize>, _) = (Vec::new(), Vec::new());
            for (number, vector) in vectors.iter().enumerate() {
                let alike = staying.iter().map(|other| (product(vector, &vectors[*other]), *other));
                let best = alike.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
                match best.filter(|(similarity, _)| *similarity >= threshold) {
                    Some((_, other)) => truth.push((number as u32, other as u32)),
                    None => staying.push(number),
                }
            }
            let mut found = Vec::new();
            for repeat in all.repeats(threshold) {
                let text = all.texts.iter().position(|text| text.digest == repeat.digest).unwrap();
                let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
                found.push((number(all.precedence(text)), number(repeat.survivor)));
            }
            prop_assert_eq!(found, truth);
        }
    }

    #[test]
    fn in_many_clusters_next_to_nothing_is_missed_and_order_does_not_matter() {
        let count = 3 * CLUSTER_TEXTS;
        let vectors = vectors(count, 500, 0.15, 32);
        let all = collected(&vectors, 0..count);
        assert!(all.centres().len() / 32 == 3);
        let repeats = all.repeats(0.9);
        // One of each direction stays.
        assert!(repeats.len() >= count - 530, "{} of {count}", repeats.len());
        assert!(repeats.iter().all(|repeat| repeat.similarity >= 0.9));
        let turned = collected(&vectors, (0..count).rev());
        let ends = |repeats: &[SemanticRepeat<'_>]| -> Vec<(Digest, Vec<u8>)> {
            repeats.iter().map(|repeat| (repeat.digest, repeat.survivor.to_vec())).collect()
        };
        assert_eq!(ends(&repeats), ends(&turned.repeats(0.9)));
    }

    #[test]
    fn vectors_of_other_widths_and_broken_bytes_are_told() {
        let mut all = Vectors::default();
        all.add(b"a", [1; 16], &[1.0, 0.0]).unwrap();
        assert!(all.add(b"b", [2; 16], &[1.0]).is_err());
        let bytes = all.to_bytes();
        for len in 1..bytes.len() {
            assert!(Vectors::default().merge_bytes(&bytes[..len]).is_err(), "{len}");
        }
        assert_eq!(Vectors::default().repeats(0.9), []);
    }
}
