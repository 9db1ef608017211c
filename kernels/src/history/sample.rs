//! Posts of an account, drawn by their hashes, and how much they repeat each other.

use std::collections::{BinaryHeap, HashMap, HashSet};

use super::HistoryMeasures;
use super::bytes::{Reader, Writer};
use super::post::{Post, SHINGLES, STRETCHES, UNTIMED};

/// Most posts that a history remembers. Of accounts with more it remembers those with the smallest hashes of time and
/// text, which are as good as drawn by lot and the same ones in any order.
pub const MAX_POSTS: usize = 512;

/// Shorter posts, in words, are nobody's template: everybody says "thank you so much" more than once.
const MIN_WORDS: u16 = 5;

/// Of the hashes of two posts that say nearly the same, so many at least are equal: about three quarters of their runs
/// of words.
const NEAR_SHINGLES: usize = 6;

/// Parts of the sketch of a post. Where no more than two hashes differ, one of three parts is the same.
const BANDS: [std::ops::Range<usize>; 3] = [0..3, 3..6, 6..8];

/// Share of a post's words that must be those of the template, as one over this.
const COVERED: usize = 3;

#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    posts: BinaryHeap<Post>,
}

impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        self.sorted() == other.sorted()
    }
}

impl Eq for Sample {}

impl Sample {
    pub(super) fn add(&mut self, post: Post) {
        if self.posts.len() < MAX_POSTS {
            if self.posts.len() == self.posts.capacity() {
                // By a quarter only: there are many accounts, and most of them are small.
                self.posts.reserve_exact(2 + self.posts.len() / 4);
            }
            self.posts.push(post);
        } else if let Some(mut last) = self.posts.peek_mut()
            && post < *last
        {
            *last = post;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for post in &other.posts {
            self.add(*post);
        }
    }

    pub(super) fn measure(&self, measures: &mut HistoryMeasures) {
        let all = self.sorted();
        let posts = separate(&all);
        if posts.is_empty() {
            return;
        }
        measures.separate_events = measures.events * posts.len() as f64 / all.len() as f64;
        let share = |count: usize| count as f64 / posts.len() as f64;
        measures.template_share = share(templated(&posts));
        measures.copy_share = share(copied(&posts));
        let mut sites: Vec<u32> = posts.iter().map(|post| post.site).filter(|site| *site != 0).collect();
        measures.link_share = share(sites.len());
        measures.link_entropy = entropy(&mut sites);
    }

    /// Bytes on the heap, about.
    pub(super) fn size(&self) -> usize {
        self.posts.capacity() * size_of::<Post>()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u64(self.posts.len() as u64);
        for post in self.sorted() {
            post.write(writer);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut sample = Self::default();
        for _ in 0..reader.u64()? {
            sample.posts.push(Post::read(reader)?);
        }
        Some(sample)
    }

    fn sorted(&self) -> Vec<Post> {
        let mut posts: Vec<Post> = self.posts.iter().copied().collect();
        posts.sort_unstable();
        posts
    }
}

/// The posts without those that begin as another one of the same minute.
fn separate(posts: &[Post]) -> Vec<Post> {
    let mut seen = HashSet::new();
    let is_new = |post: &&Post| {
        post.minute == UNTIMED || post.starts[0] == 0 || seen.insert((post.minute, post.starts[0]))
    };
    posts.iter().filter(is_new).copied().collect()
}

/// What two posts can have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Skeleton(u32),
    Start(usize, u32),
    End(usize, u32),
}

/// Number of posts that are made like another one which does not say the same.
fn templated(posts: &[Post]) -> usize {
    // Of each part one post that has it, and whether there is one that says something else.
    let mut parts: HashMap<Part, (u32, bool)> = HashMap::new();
    for post in posts.iter().filter(|post| post.words >= MIN_WORDS) {
        for part in parts_of(post) {
            let (normal, is_shared) = parts.entry(part).or_insert((post.normal, false));
            *is_shared |= *normal != post.normal;
        }
    }
    let is_shared = |part: Part| parts.get(&part).is_some_and(|(_, is_shared)| *is_shared);
    let longest = |hashes: &[u32; STRETCHES.len()], part: fn(usize, u32) -> Part| {
        let shared =
            (0..STRETCHES.len()).rev().find(|at| hashes[*at] != 0 && is_shared(part(*at, hashes[*at])));
        shared.map_or(0, |at| STRETCHES[at])
    };
    let is_templated = |post: &&Post| {
        let covered = longest(&post.starts, Part::Start) + longest(&post.ends, Part::End);
        let words = usize::from(post.words);
        post.words >= MIN_WORDS
            && (is_shared(Part::Skeleton(post.skeleton)) || covered.saturating_mul(COVERED) >= words)
    };
    posts.iter().filter(is_templated).count()
}

fn parts_of(post: &Post) -> impl Iterator<Item = Part> + '_ {
    let of = |hashes: &'_ [u32; STRETCHES.len()], part: fn(usize, u32) -> Part| {
        let hashes = *hashes;
        (0..STRETCHES.len()).filter(move |at| hashes[*at] != 0).map(move |at| part(at, hashes[at]))
    };
    [Part::Skeleton(post.skeleton)]
        .into_iter()
        .chain(of(&post.starts, Part::Start))
        .chain(of(&post.ends, Part::End))
}

/// Number of posts that say the same as another one, or nearly.
fn copied(posts: &[Post]) -> usize {
    let long: Vec<&Post> = posts.iter().filter(|post| post.words >= MIN_WORDS).collect();
    let mut same: HashMap<u32, usize> = HashMap::new();
    let mut bands: HashMap<(usize, [u16; 3]), Vec<&Post>> = HashMap::new();
    for post in &long {
        let seen = same.entry(post.normal).or_insert(0);
        *seen += 1;
        // Of posts that say the same one is enough to compare with.
        if *seen == 1 {
            for (band, key) in bands_of(post) {
                bands.entry((band, key)).or_default().push(post);
            }
        }
    }
    let has_near = |post: &Post| {
        bands_of(post).any(|key| {
            let others = bands.get(&key).map_or(&[][..], Vec::as_slice);
            others.iter().any(|other| other.normal != post.normal && are_near(post, other))
        })
    };
    long.iter().filter(|post| same.get(&post.normal).is_some_and(|n| *n > 1) || has_near(post)).count()
}

fn bands_of(post: &Post) -> impl Iterator<Item = (usize, [u16; 3])> + '_ {
    BANDS.into_iter().enumerate().map(|(band, range)| {
        let mut key = [0; 3];
        for (to, from) in key.iter_mut().zip(&post.shingles[range]) {
            *to = *from;
        }
        (band, key)
    })
}

fn are_near(a: &Post, b: &Post) -> bool {
    let equal = a.shingles.iter().zip(&b.shingles).filter(|(a, b)| a == b).count();
    equal >= NEAR_SHINGLES.min(SHINGLES)
}

/// Entropy of some values in bits; none if there are none.
fn entropy(values: &mut [u32]) -> Option<f64> {
    values.sort_unstable();
    let all = values.len() as f64;
    let of = |run: &[u32]| {
        let share = run.len() as f64 / all;
        -share * share.log2()
    };
    // One value has no entropy, and no negative zero either.
    (!values.is_empty()).then(|| values.chunk_by(|a, b| a == b).map(of).sum::<f64>().max(0.0))
}
