//! A record as rules see it, and what each rule measures on it.

use std::cell::OnceCell;
use std::num::NonZeroUsize;

use genome_kernels::dedup::shingle::{Shingle, containment};
use genome_kernels::text::advertising::{PhraseSet, advertising_phrase};
use genome_kernels::text::automation::is_automated;
use genome_kernels::text::language::{LanguageDetector, UNDETERMINED};
use genome_kernels::text::profile::TextProfile;

use super::rule::{Engagement, Rule};

/// Letters with a case that a text needs before its capitals are counted: "OK" is nobody's shouting.
const MIN_CASED_LETTERS: usize = 20;

/// What is looked for in what a text answers: as long as `dedup`'s shingles.
const CONTAINED: Shingle = Shingle::Words(NonZeroUsize::new(5).unwrap());

/// Placeholders of platforms for what is gone, in any case.
const PLACEHOLDERS: [&str; 3] = ["[deleted]", "[removed]", "[deleted by user]"];

/// How notices of Reddit begin, behind their bracket. They may give the reason.
const NOTICES: [&str; 2] = ["removed by reddit", "removed by moderator"];

/// Bytes that such a notice has fewer than.
const MAX_NOTICE_BYTES: usize = 150;

/// A record as the tables have it.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own that some rule asks for")]
pub(crate) struct Record<'a> {
    pub(crate) kind: &'a str,
    pub(crate) author_class: &'a str,
    pub(crate) has_author: bool,
    pub(crate) has_time: bool,
    pub(crate) has_context: bool,
    pub(crate) top_level: bool,
    pub(crate) is_link: bool,
    pub(crate) rating: Option<f64>,
    pub(crate) engagement: Option<i64>,
    pub(crate) replies: Option<i64>,
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    /// What it answers, all of it; empty where no rule asks for it.
    pub(crate) context: &'a str,
}

/// A record with what was measured on its words, each number at most once.
pub(crate) struct Subject<'a> {
    record: Record<'a>,
    /// Title and text; placeholders count as empty.
    title: &'a str,
    text: &'a str,
    /// Both as one, with a line end between them.
    written: &'a str,
    profile: OnceCell<TextProfile<'a>>,
}

/// What a rule found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Verdict {
    /// Whether the record is to be dropped.
    pub(crate) is_broken: bool,
    /// What was measured, where the rule measures a number.
    pub(crate) measured: Option<f64>,
}

/// A rule with whatever it needs to look at texts.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) rule: Rule,
    words: Option<PhraseSet>,
}

impl<'a> Subject<'a> {
    /// A record; `joined` is room for title and text as one.
    pub(crate) fn new(record: Record<'a>, joined: &'a mut String) -> Self {
        let unless_placeholder = |text: &'a str| if is_placeholder(text) { "" } else { text };
        let (title, text) = (unless_placeholder(record.title), unless_placeholder(record.text));
        let written = match (title, text) {
            ("", text) => text,
            (title, "") => title,
            (title, text) => {
                joined.clear();
                joined.extend([title, "\n", text]);
                joined
            }
        };
        Self { record, title, text, written, profile: OnceCell::new() }
    }

    fn profile(&self) -> &TextProfile<'a> {
        self.profile.get_or_init(|| TextProfile::new(self.written))
    }

    /// Characters of title and text, the line end between them left out.
    fn n_chars(&self) -> usize {
        self.profile().n_chars() - usize::from(!self.title.is_empty() && !self.text.is_empty())
    }

    fn is_deleted(&self) -> bool {
        self.record.author_class == "deleted"
            || is_placeholder(self.record.title)
            || is_placeholder(self.record.text)
            || self.written.trim().is_empty()
    }
}

impl Checker {
    pub(crate) fn new(rule: Rule) -> Self {
        let words = match &rule {
            Rule::WordList(list) => Some(PhraseSet::new(list.words.iter().map(String::as_str))),
            _ => None,
        };
        Self { rule, words }
    }

    /// Holds a record against the rule.
    pub(crate) fn check(&self, subject: &Subject<'_>, languages: &LanguageDetector) -> Verdict {
        let record = &subject.record;
        let class = |wanted: &[&str]| plain(wanted.contains(&record.author_class));
        match &self.rule {
            Rule::Deleted => plain(subject.is_deleted()),
            Rule::Incomplete => plain(!record.has_author || !record.has_time),
            Rule::RatingRequired => plain(record.rating.is_none()),
            Rule::ContextRequired => plain(!record.has_context),
            Rule::BotAuthor => {
                plain(matches!(record.author_class, "bot" | "listed_bot") || is_automated(subject.written))
            }
            Rule::ListedBotAuthor => class(&["listed_bot"]),
            Rule::Moderator => class(&["moderator"]),
            Rule::CorporateAuthor => class(&["corporate"]),
            Rule::CorporateWords => class(&["corporate", "corporate_word"]),
            Rule::Repost => plain(record.kind == "repost"),
            Rule::LinkPost => plain(record.is_link),
            Rule::Advertisement => plain(advertising_phrase(subject.written).is_some()),
            Rule::TopLevelOnly => plain(!record.top_level),
            Rule::MinChars(limit) => at_least(subject.n_chars() as f64, *limit),
            Rule::MaxChars(limit) => at_most(subject.n_chars() as f64, f64::from(*limit)),
            Rule::MinWords(limit) => at_least(subject.profile().n_words_any_script() as f64, *limit),
            Rule::MaxWords(limit) => at_most(subject.profile().n_words() as f64, f64::from(*limit)),
            Rule::MinTextWords(limit) => at_least(subject.text.split_whitespace().count() as f64, *limit),
            Rule::BareQuestion(limit) => {
                let words = subject.text.split_whitespace().count();
                let is_question = subject.text.trim_end().ends_with('?');
                Verdict { is_broken: is_question && words < *limit as usize, measured: Some(words as f64) }
            }
            Rule::MaxLinks(limit) => at_most(subject.profile().link_ratio(), *limit),
            Rule::MaxEmoji(limit) => at_most(subject.profile().emoji_ratio(), *limit),
            Rule::MaxHashtags(limit) => at_most(subject.profile().hashtag_ratio(), *limit),
            Rule::MaxMentions(limit) => at_most(subject.profile().mention_ratio(), *limit),
            Rule::MaxUpperCase(limit) => {
                let verdict = at_most(subject.profile().upper_case_ratio(), *limit);
                let is_broken = verdict.is_broken && subject.profile().n_cased() >= MIN_CASED_LETTERS;
                Verdict { is_broken, ..verdict }
            }
            Rule::MaxDigits(limit) => at_most(subject.profile().digit_ratio(), *limit),
            Rule::MaxSymbols(limit) => at_most(subject.profile().symbol_ratio(), *limit),
            Rule::MaxRepeatedCharacters(limit) => {
                at_most(subject.profile().repeated_character_ratio(), *limit)
            }
            Rule::MaxRepeatedWords(limit) => at_most(subject.profile().repeated_word_ratio(), *limit),
            Rule::MaxRepeatedLines(limit) => at_most(subject.profile().repeated_line_ratio(), *limit),
            Rule::MaxTopNgram(limit) => {
                at_most(subject.profile().top_ngram_ratio(limit.n as usize), limit.share)
            }
            Rule::MaxRepeatedNgrams(limit) => {
                at_most(subject.profile().repeated_ngram_ratio(limit.n as usize), limit.share)
            }
            Rule::MaxLoop(limit) => at_most(subject.profile().loop_ratio(), *limit),
            Rule::MaxBoilerplate(limit) => {
                at_most(subject.profile().n_boilerplate() as f64, f64::from(*limit))
            }
            Rule::MaxQuoted(limit) => at_most(subject.profile().quoted_ratio(), *limit),
            Rule::MaxContained(limit) => {
                let share = containment(subject.written, record.context, CONTAINED);
                Verdict { is_broken: share.is_some_and(|share| share > *limit), measured: share }
            }
            Rule::MinEngagement(limit) => Verdict {
                is_broken: record.engagement.is_some_and(|count| count < *limit),
                measured: record.engagement.map(|count| count as f64),
            },
            Rule::EngagementAny(limits) => {
                let (score, answers) = reached(record, *limits);
                // What is not known does not speak for a record, nor against it.
                let is_known = score.is_some() || answers.is_some();
                let is_broken = is_known && score != Some(true) && answers != Some(true);
                Verdict {
                    is_broken,
                    measured: record.engagement.or(record.replies).map(|count| count as f64),
                }
            }
            Rule::EngagementAll(limits) => {
                let (score, answers) = reached(record, *limits);
                let shown = if score == Some(false) { record.engagement } else { record.replies };
                Verdict {
                    is_broken: score == Some(false) || answers == Some(false),
                    measured: shown.map(|count| count as f64),
                }
            }
            Rule::WordList(list) => {
                let count = self.words.as_ref().map_or(0, |words| words.count(subject.written));
                at_most(count as f64, f64::from(list.max))
            }
            Rule::Language(rule) => {
                if subject.n_chars() < rule.min_chars as usize {
                    return plain(false);
                }
                let code = languages.detect(subject.written).code;
                plain(code != UNDETERMINED && !rule.allow.iter().any(|allowed| allowed == code))
            }
        }
    }
}

/// Whether score and answers reach their limits, as far as they are known.
fn reached(record: &Record<'_>, limits: Engagement) -> (Option<bool>, Option<bool>) {
    (
        record.engagement.map(|score| score >= limits.engagement),
        record.replies.map(|answers| answers >= limits.replies),
    )
}

/// Whether a text only says that a text was taken away.
pub(crate) fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('[')
        && (PLACEHOLDERS.iter().any(|known| known.eq_ignore_ascii_case(text)) || is_notice(text))
}

/// Whether a trimmed text is a notice such as `[ Removed by reddit in response to a copyright notice. ]`.
fn is_notice(text: &str) -> bool {
    let Some(words) = text.strip_prefix('[').map(str::trim_start) else { return false };
    let begins =
        |notice: &&str| words.get(..notice.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(notice));
    let Some(notice) = NOTICES.into_iter().find(begins) else { return false };
    let goes_on = words.get(notice.len()..).unwrap_or_default();
    text.len() < MAX_NOTICE_BYTES
        && !text.contains(['\n', '\r'])
        && !goes_on.starts_with(char::is_alphanumeric)
        && closing(text) == Some(text.len() - 1)
}

/// Where the bracket closes that a text begins with, in bytes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    text.bytes().position(|byte| {
        depth += i32::from(byte == b'[') - i32::from(byte == b']');
        depth == 0
    })
}

fn plain(is_broken: bool) -> Verdict {
    Verdict { is_broken, measured: None }
}

fn at_least(value: f64, limit: u32) -> Verdict {
    Verdict { is_broken: value < f64::from(limit), measured: Some(value) }
}

fn at_most(value: f64, limit: f64) -> Verdict {
    Verdict { is_broken: value > limit, measured: Some(value) }
}
