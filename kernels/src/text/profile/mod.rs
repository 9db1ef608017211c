//! All measures of one text, each computed once and only when it is asked for.
//!
//! A filter holds every post against a list of rules and stops at the first that is broken, so most measures of
//! most posts are never needed, and those that are share their work: one pass over the characters, one over the
//! words, one over the lines. [`TextProfile`] keeps what has been counted so far.
//!
//! Words are what stands between white space, in lower case. They are told apart by 64-bit hashes.

mod boilerplate;
mod characters;
mod lines;
mod loops;
mod ngrams;
mod words;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod truth;

use std::cell::OnceCell;
use std::ops::Range;

use self::characters::Characters;
use self::lines::Lines;
use self::ngrams::Ngrams;
use self::words::{Vocabulary, Words};
use super::links::{hashtags, links, mentions};

/// The measures of one text.
///
/// Counts are in Unicode scalar values, words, or lines; ratios lie in `0.0..=1.0`, and are 0 for a text without
/// anything to count.
///
/// ```
/// use genome_kernels::text::profile::TextProfile;
/// let profile = TextProfile::new("BUY NOW buy now https://example.com !!!");
/// assert_eq!(profile.n_words(), 6);
/// assert!((profile.link_ratio() - 1.0 / 6.0).abs() < 1e-12);
/// ```
#[derive(Debug, Clone)]
pub struct TextProfile<'t> {
    text: &'t str,
    characters: OnceCell<Characters>,
    words: OnceCell<Words>,
    vocabulary: OnceCell<Vocabulary>,
    ngrams: OnceCell<Ngrams>,
    loops: OnceCell<f64>,
    links: OnceCell<Vec<Range<usize>>>,
    lines: OnceCell<Lines>,
    boilerplate: OnceCell<usize>,
}

impl<'t> TextProfile<'t> {
    /// The profile of a text; nothing is counted yet.
    pub const fn new(text: &'t str) -> Self {
        Self {
            text,
            characters: OnceCell::new(),
            words: OnceCell::new(),
            vocabulary: OnceCell::new(),
            ngrams: OnceCell::new(),
            loops: OnceCell::new(),
            links: OnceCell::new(),
            lines: OnceCell::new(),
            boilerplate: OnceCell::new(),
        }
    }

    /// Length in Unicode scalar values. `HumanLLM` asks for 300 in Reddit posts, tweets and blog posts and for 200 in
    /// Reddit comments.
    pub fn n_chars(&self) -> usize {
        self.characters().all
    }

    /// Number of words. Gopher keeps 50 to 100,000 (Rae et al. 2021, section A1.1); `HumanLLM` asks for 10 in a
    /// Reddit body that ends in a question mark and for 6 in an Amazon review.
    pub fn n_words(&self) -> usize {
        self.words().list.len()
    }

    /// Number of words for a minimum that holds in every script: as [`Self::n_words`], but at least half of the letters
    /// of scripts that put no space between words (Chinese, Japanese, Thai and others), whose words are two letters
    /// long or a little longer.
    pub fn n_words_any_script(&self) -> usize {
        self.n_words().max(self.characters().unspaced.div_ceil(2))
    }

    /// Mean length of the words in characters; 0 without words. Gopher keeps 3 to 10 (Rae et al. 2021, section
    /// A1.1), which is made for languages that put spaces between words.
    pub fn mean_word_chars(&self) -> f64 {
        ratio(self.characters().visible(), self.n_words())
    }

    /// Share of the characters, white space left out, that stretch a run of one character beyond its third:
    /// 4 of 9 in "sooooooo!", 0 in "www" and "…".
    pub fn repeated_character_ratio(&self) -> f64 {
        ratio(self.characters().stretched, self.characters().visible())
    }

    /// Share of upper-case letters among the letters that have a case.
    pub fn upper_case_ratio(&self) -> f64 {
        let characters = self.characters();
        ratio(characters.upper, characters.upper + characters.lower)
    }

    /// Number of letters that have a case.
    pub fn n_cased(&self) -> usize {
        self.characters().upper + self.characters().lower
    }

    /// Share of letters among the characters that are no white space.
    pub fn letter_ratio(&self) -> f64 {
        ratio(self.characters().letters, self.characters().visible())
    }

    /// Share of digits and other numerals among the characters that are no white space.
    pub fn digit_ratio(&self) -> f64 {
        ratio(self.characters().numerals, self.characters().visible())
    }

    /// Share of characters that are neither letter nor numeral among those that are no white space; emoji count.
    pub fn symbol_ratio(&self) -> f64 {
        ratio(self.characters().symbols, self.characters().visible())
    }

    /// Share of emoji, with the characters that join and colour them, among the characters that are no white space.
    pub fn emoji_ratio(&self) -> f64 {
        ratio(self.characters().emoji, self.characters().visible())
    }

    /// Share of words with at least one letter. Gopher keeps 0.80 and more (Rae et al. 2021, section A1.1).
    pub fn alphabetic_word_ratio(&self) -> f64 {
        ratio(self.words().alphabetic, self.n_words())
    }

    /// Number of links.
    pub fn n_links(&self) -> usize {
        self.links().len()
    }

    /// Share of the words that are links or hold one.
    pub fn link_ratio(&self) -> f64 {
        self.word_ratio(self.links().iter().cloned())
    }

    /// Share of the words that are hashtags or hold one: `#` and a word with a letter in it, not inside a link.
    pub fn hashtag_ratio(&self) -> f64 {
        if !self.characters().signs.number {
            return 0.0;
        }
        self.word_ratio(hashtags(self.text, self.links()).map(|at| at..at + 1))
    }

    /// Share of the words that are mentions of people (`@name`, `u/name`) or hold one.
    pub fn mention_ratio(&self) -> f64 {
        let signs = self.characters().signs;
        if signs.at || (signs.slash && self.text.contains("u/")) {
            self.word_ratio(mentions(self.text))
        } else {
            0.0
        }
    }

    /// Share of the words that only repeat the word before them, in any case: 3 of 5 in "buy buy BUY buy now".
    pub fn repeated_word_ratio(&self) -> f64 {
        ratio(self.words().immediate_repeats(), self.n_words())
    }

    /// Share of distinct words among all words, in any case; 1 for a text that never says a word twice.
    /// It falls with length: compare texts of one length only.
    pub fn distinct_word_ratio(&self) -> f64 {
        ratio(self.vocabulary().n_distinct, self.n_words())
    }

    /// Share of the words' characters that lie in the most frequent sequence of `n` words that occurs at least twice;
    /// `n` from 2 to 10, and 0 for others.
    ///
    /// Gopher drops above 0.20 for n = 2, 0.18 for 3, 0.16 for 4 (Rae et al. 2021, table A1). Those limits are made
    /// for pages: in a post of 20 words one pair said twice is a fifth of the text.
    pub fn top_ngram_ratio(&self, n: usize) -> f64 {
        self.ngrams().top(n)
    }

    /// Share of the words' characters that lie in sequences of `n` words said before, each character counted once;
    /// `n` from 2 to 10, and 0 for others.
    ///
    /// Gopher drops above 0.15 for n = 5 to 0.10 for n = 10 (Rae et al. 2021, table A1).
    pub fn repeated_ngram_ratio(&self, n: usize) -> f64 {
        self.ngrams().repeated(n)
    }

    /// Share of the text that runs in a loop: a passage of up to 64 words said over and over (one word 6 times, two
    /// or three words 4 times, more words 3 times), or a pattern of up to 8 characters that fills 24 characters of a
    /// word. In characters of the words, the first saying included: 1 for "Win big today! " said 6 times.
    ///
    /// Unlike the n-gram shares it does not rise with a text that only uses its words again.
    pub fn loop_ratio(&self) -> f64 {
        *self.loops.get_or_init(|| loops::loop_ratio(self.text, self.words(), self.vocabulary()))
    }

    /// Share of the characters in lines that repeat an earlier line, white space around lines left out.
    /// Gopher drops above 0.20 (Rae et al. 2021, table A1).
    pub fn repeated_line_ratio(&self) -> f64 {
        ratio(self.lines().repeated, self.lines().all)
    }

    /// Share of the characters, white space around lines left out, in lines that quote somebody else: those that
    /// begin with `>` or `&gt;`, as in Markdown and in letters. Spoilers (`>!`) and faces (`>:(`) are no quotes.
    pub fn quoted_ratio(&self) -> f64 {
        if !self.characters().signs.quote {
            return 0.0;
        }
        ratio(self.lines().quoted, self.lines().all)
    }

    /// Number of set phrases that programs, moderators in their office and mailing lists put under what they send:
    /// "this action was performed automatically", "contact the moderators", "your submission has been removed",
    /// "click here to unsubscribe". A person may happen upon one of them; two or more are a template.
    pub fn n_boilerplate(&self) -> usize {
        *self.boilerplate.get_or_init(|| boilerplate::count(self.text))
    }

    fn characters(&self) -> &Characters {
        self.characters.get_or_init(|| Characters::of(self.text))
    }

    fn words(&self) -> &Words {
        self.words.get_or_init(|| Words::of(self.text))
    }

    fn vocabulary(&self) -> &Vocabulary {
        self.vocabulary.get_or_init(|| Vocabulary::of(&self.words().list))
    }

    fn ngrams(&self) -> &Ngrams {
        self.ngrams.get_or_init(|| Ngrams::of(self.words(), self.vocabulary()))
    }

    fn lines(&self) -> &Lines {
        self.lines.get_or_init(|| Lines::of(self.text))
    }

    fn links(&self) -> &[Range<usize>] {
        self.links.get_or_init(|| {
            let signs = self.characters().signs;
            if signs.slash || (signs.stop && holds_www(self.text.as_bytes())) {
                links(self.text).collect()
            } else {
                Vec::new()
            }
        })
    }

    /// Share of the words in which one of the ranges starts or goes on; the ranges are in order.
    fn word_ratio(&self, ranges: impl Iterator<Item = Range<usize>>) -> f64 {
        let mut ranges = ranges.peekable();
        if ranges.peek().is_none() {
            return 0.0;
        }
        let holding = self.text.split_whitespace().filter(|word| {
            let end = word.as_ptr() as usize - self.text.as_ptr() as usize + word.len();
            let mut holds = false;
            while ranges.next_if(|range| range.start < end).is_some() {
                holds = true;
            }
            holds
        });
        ratio(holding.count(), self.n_words())
    }
}

/// Whether `www.` stands in a text, in any case.
fn holds_www(text: &[u8]) -> bool {
    text.windows(4).any(|window| window[3] == b'.' && window[..3].eq_ignore_ascii_case(b"www"))
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
